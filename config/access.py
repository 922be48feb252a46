"""The access log: one line of JSON for each request that `serve` has answered.

A thread writes the lines of the last 0.2 s together. If each request wrote its own line, it would
release Python's global lock for it, and the switches between threads would cost 200 µs of CPU time
on a busy server, a quarter of a list of articles. Now it is 6 µs, 35 µs on a busy server.
"""

import sys
import time
from collections import deque
from datetime import UTC, datetime
from time import monotonic

import orjson
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.functional import SimpleLazyObject

from database.background import BackgroundThread, survive
from database.health import PATHS as PROBES
from users.limits import address_of

INTERVAL = 0.2  # seconds between two writes
# Lines that wait to be written. If the log takes no more, the oldest are dropped.
MAX_LINES = 10_000
# Bytes that a pipe takes at once, without bytes of another process between them (PIPE_BUF).
LARGEST_WRITE = 4096
# Characters of a path, of which one can be 6 bytes of JSON: a line always fits into one write.
LONGEST_PATH = 500

_lines: deque[bytes] = deque(maxlen=MAX_LINES)


def log(response: HttpResponseBase, *, started: float, sent: int) -> None:
    """Log an answer: its request began at this time.monotonic(), its body had so many bytes."""
    request: HttpRequest = response.wsgi_request  # type: ignore[attr-defined]  # of config.wsgi
    if request.path in PROBES:
        return
    match = request.resolver_match
    line = {
        "time": datetime.now(UTC),
        "level": "INFO",
        "logger": "access",
        "method": request.method,
        "route": match.route if match else None,
        "path": request.path[:LONGEST_PATH],
        "status": response.status_code,
        "milliseconds": round((monotonic() - started) * 1000, 1),
        "bytes": 0 if request.method == "HEAD" else sent,
        "user_id": _user_id(request),
        "client": address_of(request)[:50],
        "request_id": response.get("X-Request-Id"),
    }
    _lines.append(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
    _writer.ensure_running()


def write() -> None:
    """Write the lines that wait."""
    text = b""
    while _lines:
        line = _lines.popleft()
        if len(text) + len(line) > LARGEST_WRITE:
            _put(text)
            text = b""
        text += line
    _put(text)


def _put(text: bytes) -> None:
    sys.stderr.buffer.write(text)
    sys.stderr.buffer.flush()


def _write_for_ever() -> None:
    while True:
        time.sleep(INTERVAL)
        survive(write)


def _user_id(request: HttpRequest) -> int | None:
    """Of the user whom a token or a session has named. Nothing is asked of the database for it."""
    user = vars(request).get("user")
    if isinstance(user, SimpleLazyObject):
        # Of a session; Django keeps the user here, once somebody has asked for it.
        user = vars(request).get("_cached_user")
    return getattr(user, "pk", None)


_writer = BackgroundThread("access-log", _write_for_ever)
