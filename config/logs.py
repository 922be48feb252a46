"""The format of the log, and the id of the request to which a line belongs."""

import logging
import random
import re
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

# The ids of a proxy or client that are accepted. An id is written into every line of the log, so it
# must be short and need no quotes.
_ACCEPTED = re.compile(r"[A-Za-z0-9._-]{1,64}")

# Links to set a new password. Not by the route: an error before the view has none.
SECRET_PATHS = "/password-reset/"  # noqa: S105 -- a path
HIDDEN = f"{SECRET_PATHS}***"

_request_id: ContextVar[str] = ContextVar("request_id", default="-")


def request_id_middleware(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Gives each request an id for the log and the response: the id that the request has in
    X-Request-Id, or a new one."""

    def respond(request: HttpRequest) -> HttpResponseBase:
        # Not `request.headers`, which copies all headers.
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        identifier = given if _ACCEPTED.fullmatch(given) else _new_id()
        # It is not reset: Django logs a response of 400 or more after all middleware. The next
        # request of this thread sets its own id.
        _request_id.set(identifier)
        response = get_response(request)
        response["X-Request-Id"] = identifier
        return response

    return respond


def request_id() -> str:
    """The id of the request that this thread answers. "-" outside of requests."""
    return _request_id.get()


def _new_id() -> str:
    # Not the module `secrets`: it makes a system call, during which another thread runs.
    return f"{random.getrandbits(64):016x}"


class RequestId(logging.Filter):
    """Adds `request_id` to every record. It is "-" outside of requests. Hides the secret in the
    path of a request."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = _request_id.get()
        request = getattr(record, "request", None)
        if isinstance(request, HttpRequest) and request.path.startswith(SECRET_PATHS):
            record.msg, record.args = record.getMessage().replace(request.path, HIDDEN), ()
        return True


def path_to_log(request: HttpRequest) -> str:
    """The path of the request, without a secret."""
    return HIDDEN if request.path.startswith(SECRET_PATHS) else request.path


class JsonLines(JsonFormatter):
    """Writes each record as one line of JSON, in ASCII. It has the values of `extra`, and the
    traceback as `exception`."""

    def __init__(self) -> None:
        super().__init__(
            ["asctime", "levelname", "name", "message", "request_id"],
            rename_fields={
                "asctime": "time",
                "levelname": "level",
                "name": "logger",
                "exc_info": "exception",
            },
            # Django adds the request as an object. The message has its path.
            reserved_attrs=[*RESERVED_ATTRS, "request"],
        )

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
