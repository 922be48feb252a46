"""Answers a request whose body was refused."""

from collections.abc import Callable

from django.db import transaction
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase

from config.bodies.receiving import REFUSED
from config.errors.handlers import RETRY_AFTER, log_throttled
from config.errors.rendering import error_response, is_api
from database.requests import SAFE_METHODS

STATUS = {
    "incomplete": 400,
    "not_received": 408,
    "length_required": 411,
    "too_large": 413,
    "throttled": 429,
}

# A view gives these answers before it looks at the body: no token, not the author, no such object,
# no such method.
BEFORE_THE_BODY = {401, 403, 404, 405}


def refused_body_middleware(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """The API checks the body last. So the view runs with an empty body and is rolled back. Its
    answer is used if it is 401, 403, 404, 405, or 429 and more."""

    def respond(request: HttpRequest) -> HttpResponseBase:
        code = request.META.get(REFUSED)
        if code is None:
            return get_response(request)
        # The answer must not be stored for retries with the same key.
        request.META.pop("HTTP_IDEMPOTENCY_KEY", None)
        # Too many requests are refused before any work is done for them.
        if is_api(request) and code != "throttled":
            response = _rolled_back(get_response, request)
            if response.status_code in BEFORE_THE_BODY or response.status_code >= 429:
                return response
        return _refusal(request, code)

    return respond


def _rolled_back(
    get_response: Callable[[HttpRequest], HttpResponseBase], request: HttpRequest
) -> HttpResponseBase:
    """The view's response to an empty body. Its writes are rolled back."""
    if request.method in SAFE_METHODS:
        return get_response(request)
    with transaction.atomic():
        response = get_response(request)
        transaction.set_rollback(True)
    return response


def _refusal(request: HttpRequest, code: str) -> HttpResponseBase:
    status = STATUS[code]
    response = error_response(request, status, code)
    if status == 429:
        response["Retry-After"] = RETRY_AFTER
        log_throttled(request, response)
    elif status == 411:
        # The client still sends the body, so the connection must be closed. runserver closes it
        # after a response without a Content-Length, such as a stream.
        headers = dict(response.items())
        return StreamingHttpResponse([response.content], status=status, headers=headers)
    return response
