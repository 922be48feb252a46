"""Is the server well? For people, for whoever restarts it, for load balancers."""

from typing import Any

from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from database import rundir
from database.backend import Pool, database_wrapper
from database.health.probes import probe
from database.metrics import may_see


@never_cache
@require_safe
def health(request: HttpRequest) -> JsonResponse:
    """Whether the database answers, in a second at most: 200, or 503. Whoever may see the
    metrics is also shown the pool of the process that happens to answer, and the cause."""
    database = database_wrapper()
    error = probe.error(database.get_connection_params)
    answer: dict[str, Any] = {"status": "ok", "database": "connected"}
    if error:
        answer = {"status": "error", "database": "disconnected", "error": "is unavailable"}
    if may_see(request):
        if error:
            answer["error"] = error
        if pool := database.pool:
            answer["pool"] = _figures(pool)
    return JsonResponse(answer, status=503 if error else 200)


@never_cache
@require_safe
def livez(request: HttpRequest) -> JsonResponse:
    """Whether this process answers at all. The database is none of its business: to restart
    the server would not bring that back."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Whether more requests should be sent here, in a second at most: 200, or 503 with the
    reason `draining`, `unreachable` (the database) or `queue full`: the pool would refuse the
    next request."""
    reason = _reason_to_stay_away()
    if reason:
        return JsonResponse({"status": "error", "reason": reason}, status=503)
    return JsonResponse({"status": "ok"})


def _reason_to_stay_away() -> str | None:
    if rundir.is_draining():
        return "draining"
    database = database_wrapper()
    if probe.error(database.get_connection_params):
        return "unreachable"
    pool = database.pool
    if pool and pool.is_full:
        return "queue full"
    return None


def _figures(pool: Pool) -> dict[str, int]:
    stats = pool.get_stats()
    return {
        "max": stats["pool_max"],
        "size": stats["pool_size"],
        "in_use": pool.in_use,
        "idle": stats["pool_available"],
        "waiting": stats["requests_waiting"],
    }
