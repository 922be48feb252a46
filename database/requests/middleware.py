"""The deadline and the retries of a request, and its response when the database fails."""

import logging
import sys
from collections.abc import Callable
from functools import partial
from math import inf
from threading import get_ident
from time import monotonic
from typing import Any, cast

from django.core.signals import got_request_exception
from django.db import close_old_connections
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.log import log_response
from django.utils.module_loading import import_string

from database import errors, metrics
from database.backend import RunningRequest, database_wrappers, running_requests
from database.errors import Failure, failure_of
from database.settings import Limits, project_setting

logger = logging.getLogger("database.requests")

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
RETRIED_METHODS = ("GET", "HEAD")
MAX_ATTEMPTS = 3


class DatabaseMiddleware:
    """Handle failures of the database for the view and for all middleware inside this one.

    `settings.DATABASE_FAILURE_RESPONSE` names the function that renders a `Failure` for a request.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self._render: Callable[[HttpRequest, Failure], HttpResponse] = import_string(
            project_setting("DATABASE_FAILURE_RESPONSE")
        )
        self._limits = next((each.limits for each in database_wrappers().values()), Limits())
        # Django turns an exception of other middleware into a response before it arrives here.
        got_request_exception.connect(_store_error, dispatch_uid="database.middleware")

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        started = monotonic()
        acquire_by = started + self._limits.acquire_timeout
        current = RunningRequest(
            partial(route_of, request), deadline=started + self._limits.hard_deadline
        )
        if request.method in RETRIED_METHODS:
            current.no_ping_until = acquire_by
        outer = running_requests.get(get_ident())  # a request made by a view, or a test
        running_requests[get_ident()] = current
        try:
            return self._respond(request, current, acquire_by)
        finally:
            if outer:
                running_requests[get_ident()] = outer
            else:
                del running_requests[get_ident()]

    def _respond(
        self, request: HttpRequest, current: RunningRequest, acquire_by: float
    ) -> HttpResponseBase:
        for retries_left in reversed(range(MAX_ATTEMPTS)):
            response = self.get_response(request)
            error = request.__dict__.pop("database_error", None)
            if error is None:
                return response
            if not retries_left or not _may_retry(request, current, error):
                break
            current.acquire_by = acquire_by
            current.no_ping_until = -inf  # so the pool pings the next connection
            if monotonic() >= acquire_by:
                break
            metrics.RETRIES.inc()
            if errors.is_lost_connection(error):
                # Keep a connection with stale statements: it has discarded them. Another connection
                # may still have such statements.
                close_old_connections()
        return self._failure_response(request, response, error)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        failure = failure_of(exception, writes=_writes(request))
        if failure is None:
            return None
        request.database_error = exception  # type: ignore[attr-defined]  # for __call__
        return self._render(request, failure)

    def _failure_response(
        self, request: HttpRequest, response: HttpResponseBase, error: BaseException | None
    ) -> HttpResponseBase:
        failure = failure_of(error, writes=_writes(request))
        if failure is None:
            return response
        if response.status_code == 500:
            response = self._render(request, failure)
        # This line replaces Django's own line for a 5xx response. The pool logs an outage once, so
        # a failed checkout needs no warning. libpq's messages contain hosts and users, no password.
        is_logged = error is not None and errors.is_failed_checkout(error)
        log_response(
            "%s: %s: %s",
            route_of(request),
            failure.value,
            " ".join(str(error).split()),
            response=cast(HttpResponse, response),
            request=request,
            logger=logger,
            level="debug" if is_logged else "warning",
        )
        return response


def route_of(request: HttpRequest) -> str:
    """The name of a request in the log: `GET api/articles/<slug>`; with its path if not routed."""
    match = request.resolver_match
    return f"{request.method} {match.route if match else request.path!r}"


def _writes(request: HttpRequest) -> bool:
    return request.method not in SAFE_METHODS


def _may_retry(request: HttpRequest, current: RunningRequest, error: BaseException) -> bool:
    """Whether a retry is safe and may succeed.

    It is safe for a read and for a request with an idempotency key. It may succeed after a broken
    connection that was not cut at the deadline, and after a stale prepared statement.
    """
    is_safe = request.method in RETRIED_METHODS or getattr(request, "idempotent", False)
    return (
        is_safe
        and not current.cut
        and (errors.is_lost_connection(error) or errors.is_stale_statement(error))
    )


def _store_error(request: HttpRequest | None = None, **kwargs: Any) -> None:
    error = sys.exception()
    if request is not None and failure_of(error, writes=False):
        request.database_error = error  # type: ignore[attr-defined]  # for __call__
