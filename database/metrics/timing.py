"""Middleware that measures requests."""

from collections.abc import Callable
from time import monotonic

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from database.metrics.figures import REQUESTS

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def metrics_middleware(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Measures how long each request takes, by method, route and status.

    A client can't make up a new series: whatever no route knows is "unrouted", static files
    included, and a method of nobody's is "other".
    """

    def measure(request: HttpRequest) -> HttpResponseBase:
        started = monotonic()
        response = get_response(request)
        method = request.method if request.method in _METHODS else "other"
        match = request.resolver_match
        route = (match.route or "/") if match else "unrouted"
        REQUESTS.labels(method, route, response.status_code).observe(monotonic() - started)
        return response

    return measure
