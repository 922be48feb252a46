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
from database.health.servers import details, monitor_of, reads_are_full, reads_error
from database.metrics import may_read_metrics, pool_figures

READ_ONLY = "read-only"


@never_cache
@require_safe
def health(request: HttpRequest) -> JsonResponse:
    """200 if every database answers reads within a second, 503 otherwise.

    The reason "read-only" says that a database has no primary now. A client that may read the
    metrics also gets the cause of an error, the figures of this process's pools, and the state of
    each server. Databases other than "default" are in "databases", by alias.
    """
    wrappers, detailed = database_wrappers(), may_read_metrics(request)
    errors = _errors(wrappers)
    reports = {
        alias: _report(wrapper, errors.get(alias), detailed) for alias, wrapper in wrappers.items()
    }
    answer: dict[str, Any] = {"status": "error" if errors else "ok"}
    if not errors and _is_read_only(wrappers):
        answer["reason"] = READ_ONLY
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
    refuse the next request). If reads use all servers of a database, 200 may have a reason too,
    because only writes fail: "read-only" (there is no primary) and "write queue full".
    """
    status, answer = readiness()
    return JsonResponse(answer, status=status)


def liveness() -> tuple[int, dict[str, str]]:
    """The status and the content of /livez."""
    return 200, {"status": "ok"}


def readiness() -> tuple[int, dict[str, str]]:
    """The status and the content of /readyz."""
    wrappers = database_wrappers()
    if reason := _reason_to_refuse(wrappers):
        return 503, {"status": "error", "reason": reason}
    if reason := _reason_to_warn(wrappers):
        return 200, {"status": "ok", "reason": reason}
    return 200, {"status": "ok"}


def _reason_to_refuse(wrappers: Mapping[str, DatabaseWrapper]) -> str | None:
    if rundir.is_draining():
        return "draining"
    if _errors(wrappers):
        return "unreachable"
    if any(map(_is_full, wrappers.values())):
        return "queue full"
    return None


def _reason_to_warn(wrappers: Mapping[str, DatabaseWrapper]) -> str | None:
    if _is_read_only(wrappers):
        return READ_ONLY
    if any(wrapper.pool and wrapper.pool.is_full for wrapper in wrappers.values()):
        return "write queue full"
    return None


def _is_full(wrapper: DatabaseWrapper) -> bool:
    if monitor := monitor_of(wrapper):
        return reads_are_full(monitor)
    return wrapper.pool is not None and wrapper.pool.is_full


def _is_read_only(wrappers: Mapping[str, DatabaseWrapper]) -> bool:
    monitors = filter(None, map(monitor_of, wrappers.values()))
    return not all(monitor.has_primary for monitor in monitors)


def _errors(wrappers: Mapping[str, DatabaseWrapper]) -> dict[str, str]:
    """The errors of databases that answer no reads, by alias. All probes run at the same time."""
    for alias, wrapper in wrappers.items():
        if wrapper.replicas is None:
            probes[alias].start(wrapper.get_connection_params)
    return {
        alias: error
        for alias, wrapper in wrappers.items()
        if (error := _error(alias, wrapper)) is not None
    }


def _error(alias: str, wrapper: DatabaseWrapper) -> str | None:
    if monitor := monitor_of(wrapper):
        return reads_error(monitor)
    return probes[alias].error(wrapper.get_connection_params)


def _report(wrapper: DatabaseWrapper, error: str | None, detailed: bool) -> dict[str, Any]:
    report: dict[str, Any] = {"database": "disconnected" if error else "connected"}
    if error:
        report["error"] = error if detailed else "is unavailable"
    if detailed and wrapper.pool:
        report["pool"] = pool_figures(wrapper.pool)
    if detailed and (monitor := monitor_of(wrapper)):
        report |= details(monitor)
    return report
