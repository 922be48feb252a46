"""Middleware: the deadline of a request, its retries, its response when the database fails, and
idempotency keys."""

from database.requests.idempotency import IdempotencyMiddleware, rebuildable
from database.requests.middleware import SAFE_METHODS, DatabaseMiddleware

__all__ = ["SAFE_METHODS", "DatabaseMiddleware", "IdempotencyMiddleware", "rebuildable"]
