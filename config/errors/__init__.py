"""The responses to errors: `{"errors": {"<key>": ["<text>", …]}}` under /api, a page elsewhere."""

from config.errors.handlers import (
    RETRY_AFTER,
    UnknownPath,
    bad_request,
    database_failure,
    exception_handler,
    idempotency_key_refused,
    log_throttled,
    page_not_found,
    permission_denied,
    server_error,
)
from config.errors.rendering import error_page, error_response, is_api

__all__ = [
    "RETRY_AFTER",
    "UnknownPath",
    "bad_request",
    "database_failure",
    "error_page",
    "error_response",
    "exception_handler",
    "idempotency_key_refused",
    "is_api",
    "log_throttled",
    "page_not_found",
    "permission_denied",
    "server_error",
]
