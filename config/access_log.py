"""The access log: one line of JSON for each request that `serve` has answered.

A request only stores the values for its line. Once a second, a thread makes the lines and writes
them together. If each request wrote its own line, it would release Python's global lock, and the
switches between threads would cost 200 µs of CPU time on a busy server.
"""

import sys
from collections import deque
from datetime import UTC, datetime
from time import monotonic, sleep, time

import orjson
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.functional import SimpleLazyObject

from database.background import BackgroundThread, survive
from database.health import PATHS as PROBES
from users.limits import client_address

INTERVAL = 1.0  # seconds between two writes
# Requests whose line is not written yet. If the log cannot be written, the oldest are dropped.
MAX_LINES = 10_000
# Bytes (PIPE_BUF). A pipe takes a write of this size as a whole: no other process can write in the
# middle of a line.
LARGEST_WRITE = 4096
# Characters. JSON has up to 6 bytes for a character of a path, and a line must fit into one write.
LONGEST_PATH = 500
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

type Entry = tuple[float, str | None, str | None, str, int, float, int, int | None, str, str | None]
_entries: deque[Entry] = deque(maxlen=MAX_LINES)


def log(response: HttpResponseBase, *, started: float, sent: int) -> None:
    """Log a response. `started` is the time.monotonic() at which its request began, and `sent` the
    number of bytes of its body."""
    request: HttpRequest = response.wsgi_request  # type: ignore[attr-defined]  # set in config.wsgi
    path = request.path
    if path in PROBES:
        return
    match = request.resolver_match
    _entries.append(
        (
            time(),
            request.method,
            match.route if match else None,
            path[:LONGEST_PATH],
            response.status_code,
            monotonic() - started,
            sent,
            _user_id(request),
            client_address(request),
            response.get("X-Request-Id"),
        )
    )
    _writer.ensure_running()


def write() -> None:
    """Write the lines of all requests that are not written yet."""
    text = b""
    while _entries:
        line = _line(_entries.popleft())
        if len(text) + len(line) > LARGEST_WRITE:
            _put(text)
            text = b""
        text += line
    _put(text)


def _line(entry: Entry) -> bytes:
    at, method, route, path, status, seconds, sent, user_id, client, request_id = entry
    line = {
        "time": datetime.fromtimestamp(at, UTC),
        "level": "INFO",
        "logger": "access",
        "method": method if method in METHODS else "other",
        "route": route,
        "path": path,
        "status": status,
        "milliseconds": round(seconds * 1000, 1),
        "bytes": 0 if method == "HEAD" else sent,
        "user_id": user_id,
        "client": client[:50],
        "request_id": request_id,
    }
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


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
