"""Middleware that measures requests."""

from collections.abc import Callable
from functools import cache
from time import monotonic

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from database.metrics.figures import REQUESTS

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_series = cache(REQUESTS.labels)  # labels() takes a lock


def metrics_middleware(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Measure the duration of each request, by method, route and status.

    Clients cannot create series: a path without a route, also of a static file, is "unrouted", and
    an unknown method is "other".
    """

    def measure(request: HttpRequest) -> HttpResponseBase:
        started = monotonic()
        response = get_response(request)
        match = request.resolver_match
        route = (match.route or "/") if match else "unrouted"
        count_request(request.method or "", route, response.status_code, monotonic() - started)
        return response

    return measure


def count_request(method: str, route: str, status: int, seconds: float) -> None:
    """Count a request that took this many seconds."""
    _series(method if method in _METHODS else "other", route, status).observe(seconds)
