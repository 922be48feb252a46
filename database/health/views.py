"""The pages that say whether the server is healthy."""

from collections.abc import Mapping
from typing import Any

from django.db import DEFAULT_DB_ALIAS
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from database import rundir
from database.backend import DatabaseWrapper, database_wrappers
from database.health.probes import probes
from database.metrics import may_read_metrics, pool_figures


@never_cache
@require_safe
def health(request: HttpRequest) -> JsonResponse:
    """200 if every database answers within a second, 503 otherwise.

    A client that may read the metrics also gets the cause of an error, and the figures of this
    process's pool. Databases other than "default" are in "databases", by alias.
    """
    wrappers, detailed = database_wrappers(), may_read_metrics(request)
    errors = _errors(wrappers)
    reports = {
        alias: _report(wrapper, errors.get(alias), detailed) for alias, wrapper in wrappers.items()
    }
    answer: dict[str, Any] = {"status": "error" if errors else "ok"}
    answer |= reports.pop(DEFAULT_DB_ALIAS, {})
    if reports:
        answer["databases"] = reports
    return JsonResponse(answer, status=503 if errors else 200)


@never_cache
@require_safe
def livez(request: HttpRequest) -> JsonResponse:
    """200 without a query to the database, because a restart of the server would not repair it."""
    status, answer = liveness()
    return JsonResponse(answer, status=status)


@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """200 if this process accepts more requests, 503 with a reason otherwise; within a second.

    The reasons: "draining", "unreachable" (a database) and "queue full" (of a pool, which would
    refuse the next request).
    """
    status, answer = readiness()
    return JsonResponse(answer, status=status)


def liveness() -> tuple[int, dict[str, str]]:
    """The status and the content of /livez."""
    return 200, {"status": "ok"}


def readiness() -> tuple[int, dict[str, str]]:
    """The status and the content of /readyz."""
    if reason := _reason_to_refuse():
        return 503, {"status": "error", "reason": reason}
    return 200, {"status": "ok"}


def _reason_to_refuse() -> str | None:
    if rundir.is_draining():
        return "draining"
    wrappers = database_wrappers()
    if _errors(wrappers):
        return "unreachable"
    if any(wrapper.pool and wrapper.pool.is_full for wrapper in wrappers.values()):
        return "queue full"
    return None


def _errors(wrappers: Mapping[str, DatabaseWrapper]) -> dict[str, str]:
    """The errors of databases that do not answer, by alias. All probes run at the same time."""
    for alias, wrapper in wrappers.items():
        probes[alias].start(wrapper.get_connection_params)
    return {
        alias: error
        for alias, wrapper in wrappers.items()
        if (error := probes[alias].error(wrapper.get_connection_params))
    }


def _report(wrapper: DatabaseWrapper, error: str | None, detailed: bool) -> dict[str, Any]:
    report: dict[str, Any] = {"database": "disconnected" if error else "connected"}
    if error:
        report["error"] = error if detailed else "is unavailable"
    if detailed and wrapper.pool:
        report["pool"] = pool_figures(wrapper.pool)
    return report
