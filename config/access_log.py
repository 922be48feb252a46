"""The access log: one line of JSON for each request that `serve` has answered.

A request only stores the values for its line. Once a second, a thread writes the lines together.
If each request wrote its own line, it would release Python's global lock, and the switches between
threads would cost 200 µs of CPU time on a busy server.
"""

import sys
from collections import deque
from datetime import UTC, datetime
from time import monotonic, sleep
from typing import Any

import orjson
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.functional import SimpleLazyObject

from config.logs import path_to_log
from database.background import BackgroundThread, survive
from database.health import PATHS as PROBES
from users.limits.client_addresses import client_address

INTERVAL = 1.0  # seconds between two writes
# Requests whose line is not written yet. If the log cannot be written, the oldest are dropped.
MAX_LINES = 10_000
# Bytes (PIPE_BUF). A pipe takes a write of this size as a whole: no other process can write in the
# middle of a line.
LARGEST_WRITE = 4096
# Characters. JSON has up to 6 bytes for a character of a path, and a line must fit into one write.
LONGEST_PATH = 500
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_entries: deque[dict[str, Any]] = deque(maxlen=MAX_LINES)


def log(response: HttpResponseBase, *, started: float, sent: int) -> None:
    """Log a response. `started` is the time.monotonic() at which its request began, and `sent` the
    number of bytes of its body."""
    request: HttpRequest = response.wsgi_request  # type: ignore[attr-defined]  # set in config.wsgi
    path = request.path
    if path in PROBES:
        return
    method, match = request.method, request.resolver_match
    _entries.append(
        {
            "time": datetime.now(UTC),
            "level": "INFO",
            "logger": "access",
            "method": method if method in METHODS else "other",
            "route": match.route if match else None,
            "path": path_to_log(request)[:LONGEST_PATH],
            "status": response.status_code,
            "milliseconds": round((monotonic() - started) * 1000, 1),
            "bytes": 0 if method == "HEAD" else sent,
            "user_id": _user_id(request),
            "client": client_address(request)[:50],
            "request_id": response.get("X-Request-Id"),
        }
    )
    _writer.ensure_running()


def write() -> None:
    """Write the lines of all requests that are not written yet."""
    text = b""
    while _entries:
        line = orjson.dumps(_entries.popleft(), option=orjson.OPT_APPEND_NEWLINE)
        if len(text) + len(line) > LARGEST_WRITE:
            _put(text)
            text = b""
        text += line
    _put(text)


def _put(text: bytes) -> None:
    sys.stderr.buffer.write(text)
    sys.stderr.buffer.flush()


def _write_periodically() -> None:
    while True:
        sleep(INTERVAL)
        survive(write)


def _user_id(request: HttpRequest) -> int | None:
    """The id of the user of the token or session. Runs no query."""
    user = vars(request).get("user")
    if isinstance(user, SimpleLazyObject):
        # The user of a session. Django stores it here when a view has used it.
        user = vars(request).get("_cached_user")
    return getattr(user, "pk", None)


_writer = BackgroundThread("access-log", _write_periodically)
