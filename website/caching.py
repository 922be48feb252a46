"""Answers that are the same for everybody."""

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response, patch_cache_control, set_response_etag


def cached_by_proxies(
    request: HttpRequest, response: HttpResponse, max_age: int
) -> HttpResponseBase:
    """The response, which proxies and clients may keep for `max_age` seconds; 304 if the client
    has this version."""
    patch_cache_control(response, public=True, max_age=max_age)
    set_response_etag(response)
    answer = get_conditional_response(request, etag=response["ETag"], response=response)
    return answer or response
