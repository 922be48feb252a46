"""The deadline and the retries of a request, and its response when the database fails."""

import logging
import re
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
from database.backend import (
    RunningRequest,
    ask_positions,
    database_wrappers,
    drop_questions,
    forget_writes,
    has_replicas,
    leave_replica,
    record_writes,
    running_requests,
)
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
        self._has_replicas = has_replicas()
        paths = project_setting("DATABASE_PRIMARY_PATHS")
        self._primary_paths = re.compile(paths) if paths else None
        # Django turns an exception of other middleware into a response before it arrives here.
        got_request_exception.connect(_store_error, dispatch_uid="database.middleware")
        # It would log a traceback for each try that fails in other middleware.
        logging.getLogger("django.request").addFilter(_is_no_database_failure)

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        started = monotonic()
        acquire_by = started + self._limits.acquire_timeout
        current = RunningRequest(
            partial(route_of, request),
            deadline=started + self._limits.hard_deadline,
            writes=_writes(request),
        )
        if request.method in RETRIED_METHODS:
            current.no_ping_until = acquire_by
            current.reads_replicas = self._has_replicas and not (
                self._primary_paths and self._primary_paths.match(request.path_info)
            )
        outer = running_requests.get(get_ident())  # a request made by a view, or a test
        running_requests[get_ident()] = current
        try:
            if current.reads_replicas:
                ask_positions(current)
            return self._respond(request, current, acquire_by)
        finally:
            if current.questions:
                drop_questions(current)
            if outer:
                running_requests[get_ident()] = outer
            else:
                del running_requests[get_ident()]

    def _respond(
        self, request: HttpRequest, current: RunningRequest, acquire_by: float
    ) -> HttpResponseBase:
        for retries_left in reversed(range(MAX_ATTEMPTS)):
            current.is_last_try = not retries_left
            response = self.get_response(request)
            error = request.__dict__.pop("database_error", None)
            if error is None:
                writes = self._has_replicas and (current.writes or current.wrote)
                if writes and not record_writes(current) and current.writes:
                    return self._unrecorded_response(request)
                return response
            if not retries_left or not _may_retry(request, current, error):
                break
            if current.was_cut_early:
                # The cut try has used the time of the next one.
                acquire_by = max(acquire_by, monotonic() + self._limits.acquire_timeout)
            current.acquire_by = acquire_by
            current.no_ping_until = -inf  # so the pool pings the next connection
            if monotonic() >= acquire_by:
                break
            metrics.RETRIES.inc()
            if current.reads_replicas:
                leave_replica(current, error)
            elif errors.is_lost_connection(error):
                # Keep a connection with stale statements: it has discarded them. Another connection
                # may still have such statements.
                close_old_connections()
        if self._has_replicas:
            forget_writes()
        return self._failure_response(request, response, error)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        failure = failure_of(exception, writes=_writes(request))
        if failure is None:
            return None
        request.database_error = exception  # type: ignore[attr-defined]  # for __call__
        return self._render(request, failure)

    def _unrecorded_response(self, request: HttpRequest) -> HttpResponse:
        """The write is committed. But the primary was lost before other servers are known to have
        the write, so a read could miss it."""
        response = self._render(request, Failure.OUTCOME_UNKNOWN)
        log_response(
            "%s: %s: the primary was lost after the commit",
            route_of(request),
            Failure.OUTCOME_UNKNOWN.value,
            response=response,
            request=request,
            logger=logger,
            level="warning",
        )
        return response

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
        and (
            errors.is_lost_connection(error)
            or errors.is_stale_statement(error)
            or (
                current.reads_replicas
                and (errors.is_recovery_conflict(error) or errors.is_read_only(error))
            )
        )
    )


def _store_error(request: HttpRequest | None = None, **kwargs: Any) -> None:
    error = sys.exception()
    if request is not None and failure_of(error, writes=False):
        request.database_error = error  # type: ignore[attr-defined]  # for __call__


def _is_no_database_failure(record: logging.LogRecord) -> bool:
    """False for Django's log line about an error that DatabaseMiddleware handles, and logs."""
    return not hasattr(getattr(record, "request", None), "database_error")
