"""What a line of the log looks like, and which request it belongs to."""

import logging
import random
import re
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

if TYPE_CHECKING:
    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

# Longer ones, and those with anything to quote in them, are replaced: what a client sends ends
# up in every line.
_GIVEN = re.compile(r"[A-Za-z0-9._-]{1,64}")

_request_id: ContextVar[str] = ContextVar("request_id", default="-")


def identified(
    get_response: "Callable[[HttpRequest], HttpResponseBase]",
) -> "Callable[[HttpRequest], HttpResponseBase]":
    """Middleware: the request's id, the proxy's or a new one, for the log and the answer."""

    def identify(request: "HttpRequest") -> "HttpResponseBase":
        # Not from `request.headers`, which copies all of them.
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        identifier = given if _GIVEN.fullmatch(given) else _new_id()
        # Not taken back: Django logs an answer of 400 or more after all middleware. The next
        # request of this thread sets its own.
        _request_id.set(identifier)
        response = get_response(request)
        response["X-Request-Id"] = identifier
        return response

    return identify


def _new_id() -> str:
    # No secret; `secrets` would ask the kernel, and let another thread go first.
    return f"{random.getrandbits(64):016x}"


class RequestId(logging.Filter):
    """Adds `request_id` to every record; "-" outside of requests."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = _request_id.get()
        return True


class JsonLines(JsonFormatter):
    """One JSON object a line, with what was given as `extra`, and the traceback in
    `exception`; in ASCII, which every terminal and every file takes."""

    def __init__(self) -> None:
        super().__init__(
            ["asctime", "levelname", "name", "message", "request_id"],
            rename_fields={
                "asctime": "time",
                "levelname": "level",
                "name": "logger",
                "exc_info": "exception",
            },
            # Django adds the request itself, of which the message has the path.
            reserved_attrs=[*RESERVED_ATTRS, "request"],
        )

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
