"""A request's bounds, its second try, and the answer when the database fails it."""

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

from database import metrics
from database.backend import RunningRequest, database_wrappers, running_requests
from database.errors import Failure, failure_of, found_no_connection, was_lost, was_outdated
from database.settings import Limits, project_setting

logger = logging.getLogger("database.requests")

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
REPEATABLE_METHODS = ("GET", "HEAD")
TRIES = 3  # the first one included


class DatabaseMiddleware:
    """Stands outside of everything that may ask the database, so that no view and no other
    middleware has to know what to do when it fails.

    `settings.DATABASE_FAILURE_RESPONSE` names the function that renders a `Failure` for a
    request.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self._render: Callable[[HttpRequest, Failure], HttpResponse] = import_string(
            project_setting("DATABASE_FAILURE_RESPONSE")
        )
        self._limits = next((each.limits for each in database_wrappers().values()), Limits())
        # What another middleware raises is a page of Django's by the time it arrives here.
        got_request_exception.connect(_remember, dispatch_uid="database.middleware")

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        started = monotonic()
        current = RunningRequest(
            partial(route_of, request), deadline=started + self._limits.hard_deadline
        )
        if request.method in REPEATABLE_METHODS:
            current.try_again_until = started + self._limits.acquire_timeout
        outer = running_requests.get(get_ident())  # a request made by a view, or a test
        running_requests[get_ident()] = current
        try:
            for tries_left in reversed(range(TRIES)):
                response = self.get_response(request)
                error = request.__dict__.pop("database_error", None)
                if error is None:
                    return response
                if not tries_left or not _may_try_again(request, current, error):
                    break
                current.acquire_by = started + self._limits.acquire_timeout
                current.try_again_until = -inf  # its next connection is asked before it is lent
                if monotonic() >= current.acquire_by:
                    break
                metrics.RETRIES.inc()
                if was_lost(error):
                    # The broken one, which is this thread's until then. One with outdated
                    # statements knows of them: another may have as old ones, and not know.
                    close_old_connections()
            return self._answer(request, response, error)
        finally:
            if outer:
                running_requests[get_ident()] = outer
            else:
                del running_requests[get_ident()]

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        failure = failure_of(exception, writes=_writes(request))
        if failure is None:
            return None
        request.database_error = exception  # type: ignore[attr-defined]  # for __call__
        return self._render(request, failure)

    def _answer(
        self, request: HttpRequest, response: HttpResponseBase, error: BaseException | None
    ) -> HttpResponseBase:
        failure = failure_of(error, writes=_writes(request))
        if failure is None:
            return response
        if response.status_code == 500:
            response = self._render(request, failure)
        # Django adds a line of its own to the log for every 5xx that has none. This one has the
        # cause; and where there was no connection, which an outage has one line for, nobody
        # needs another a request. libpq's words name hosts and users, and no password.
        is_noted = error is not None and found_no_connection(error)
        log_response(
            "%s: %s: %s",
            route_of(request),
            failure.value,
            " ".join(str(error).split()),
            response=cast(HttpResponse, response),
            request=request,
            logger=logger,
            level="debug" if is_noted else "warning",
        )
        return response


def route_of(request: HttpRequest) -> str:
    """`GET api/articles/<slug>`: what the log calls a request; the path before it is routed."""
    match = request.resolver_match
    return f"{request.method} {match.route if match else request.path!r}"


def _writes(request: HttpRequest) -> bool:
    return request.method not in SAFE_METHODS


def _may_try_again(request: HttpRequest, current: RunningRequest, error: BaseException) -> bool:
    """Whether the answer to a second try would be as good as one to the first: it reads, or
    is known by its key; and its connection broke, without having had all its time, or a
    statement was prepared for what is no more."""
    repeatable = request.method in REPEATABLE_METHODS or getattr(request, "idempotent", False)
    return repeatable and not current.cut and (was_lost(error) or was_outdated(error))


def _remember(request: HttpRequest | None = None, **kwargs: Any) -> None:
    error = sys.exception()
    if request is not None and failure_of(error, writes=False):
        request.database_error = error  # type: ignore[attr-defined]  # for __call__
