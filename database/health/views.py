"""The pages that say whether the server is healthy."""

from collections.abc import Mapping
from typing import Any

from django.db import DEFAULT_DB_ALIAS
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from database import rundir
from database.backend import DatabaseWrapper, Pool, database_wrappers
from database.health.probes import probe_of
from database.metrics import may_see


@never_cache
@require_safe
def health(request: HttpRequest) -> JsonResponse:
    """200 if every database answers within a second, 503 otherwise.

    A client that may read the metrics also gets the cause, and the pool of the process that
    answers. With several databases, "databases" has those beside "default", by alias.
    """
    wrappers, detailed = database_wrappers(), may_see(request)
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
    """200 whenever this process answers. It does not ask the database: a restart of the server
    would not repair the database."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """200 if more requests should be sent to this process, 503 otherwise; within a second.

    The reasons: "draining"; "unreachable" (a database); "queue full" (a pool would refuse the next
    request).
    """
    reason = _reason_to_refuse()
    if reason:
        return JsonResponse({"status": "error", "reason": reason}, status=503)
    return JsonResponse({"status": "ok"})


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
    """Why databases do not answer, by alias. All are asked at the same time."""
    for alias, wrapper in wrappers.items():
        probe_of(alias).start(wrapper.get_connection_params)
    return {
        alias: error
        for alias, wrapper in wrappers.items()
        if (error := probe_of(alias).error(wrapper.get_connection_params))
    }


def _report(wrapper: DatabaseWrapper, error: str | None, detailed: bool) -> dict[str, Any]:
    report: dict[str, Any] = {"database": "disconnected" if error else "connected"}
    if error:
        report["error"] = error if detailed else "is unavailable"
    if detailed and wrapper.pool:
        report["pool"] = _figures(wrapper.pool)
    return report


def _figures(pool: Pool) -> dict[str, int]:
    stats = pool.get_stats()
    return {
        "max": stats["pool_max"],
        "size": stats["pool_size"],
        "in_use": pool.in_use,
        "idle": stats["pool_available"],
        "waiting": stats["requests_waiting"],
    }
