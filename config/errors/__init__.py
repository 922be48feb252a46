"""The responses to errors: `{"errors": {"<key>": ["<text>", …]}}` under /api, a page elsewhere."""

from config.errors.handlers import RETRY_AFTER, UnknownPath, log_throttled
from config.errors.rendering import error_page, error_response, is_api

__all__ = [
    "RETRY_AFTER",
    "UnknownPath",
    "error_page",
    "error_response",
    "is_api",
    "log_throttled",
]
