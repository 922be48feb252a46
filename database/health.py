"""Is the database there? For people and for load balancers."""

import logging

from django.db import Error, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

logger = logging.getLogger(__name__)


@never_cache
@require_safe
def health(request: HttpRequest) -> JsonResponse:
    """One `SELECT 1` over a connection as every request gets one: 200, or 503."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error as error:
        logger.warning("The database does not answer: %s", str(error).strip())
        # The driver's own words name hosts and users: they are for the log, not for here.
        answer = {"status": "error", "database": "disconnected", "error": "is unavailable"}
        return JsonResponse(answer, status=503)
    return JsonResponse({"status": "ok", "database": "connected"})
