"""Views that take a connection as every request does, and then misuse it in one way."""

import os
import threading
import time
from collections.abc import Iterator
from typing import Any, LiteralString

from django.db import connection, transaction
from django.http import HttpRequest, JsonResponse, StreamingHttpResponse
from django.views.decorators.csrf import csrf_exempt

from articles.models import Tag
from tests.database.gate import LOCK


def fetch(query: LiteralString, *parameters: str | float) -> Any:
    """The first column of the first row."""
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        row = cursor.fetchone()
    assert row
    return row[0]


def seconds(request: HttpRequest) -> float:
    return float(request.GET.get("seconds", 0))


def select_1(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"result": fetch("SELECT 1")})


def echo(request: HttpRequest) -> JsonResponse:
    """The value, read through PostgreSQL, and the process ids of the session and the worker."""
    value = fetch("SELECT %s", request.GET["value"])
    session = fetch("SELECT pg_backend_pid()")
    return JsonResponse({"value": value, "session": session, "worker": os.getpid()})


def wait(request: HttpRequest) -> None:
    """Wait for `seconds`, and then until the gate is open if the request has one."""
    time.sleep(seconds(request))
    while os.path.exists(request.GET.get("gate", "")):
        time.sleep(0.01)


def hold(request: HttpRequest) -> JsonResponse:
    """Hold a connection without using it."""
    response = select_1(request)
    wait(request)
    return response


def sleep(request: HttpRequest) -> JsonResponse:
    """Hold a connection with a slow statement."""
    if "gate" in request.GET:
        fetch("SELECT 1 FROM pg_advisory_xact_lock_shared(%s)", LOCK)
    else:
        fetch("SELECT 1 FROM pg_sleep(%s)", seconds(request))
    return JsonResponse({})


@csrf_exempt
def write(request: HttpRequest) -> JsonResponse:
    """Insert one row in a transaction that stays open meanwhile."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO scratch (id) VALUES (%s)", [request.GET["id"]])
        wait(request)
    return JsonResponse({"id": request.GET["id"]}, status=201)


def take_and_die() -> None:
    fetch("SELECT 1")  # the thread ends without closing the connection


def thread_dies(request: HttpRequest) -> JsonResponse:
    """Answers after a thread has taken a connection and ended."""
    thread = threading.Thread(target=take_and_die)
    thread.start()
    thread.join()
    return JsonResponse({})


STATE: dict[str, LiteralString] = {
    "time_zone": "SELECT current_setting('TimeZone')",
    "work_mem": "SELECT current_setting('work_mem')",
    "search_path": "SELECT current_setting('search_path')",
    "statement_timeout": "SELECT current_setting('statement_timeout')",
    "role": "SELECT current_user::text",
    "temporary_tables": "SELECT count(*) FROM pg_class WHERE relpersistence = 't'"
    " AND relnamespace = pg_my_temp_schema()",
    "advisory_locks": "SELECT count(*) FROM pg_locks"
    " WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
    "cursors": "SELECT count(*) FROM pg_cursors WHERE is_holdable",
    "channels": "SELECT count(*) FROM pg_listening_channels()",
    "session": "SELECT pg_backend_pid()",
}

STATE_CHANGES: list[LiteralString] = [
    "SET TIME ZONE 'Asia/Tokyo'",
    "SET work_mem = '7MB'",
    "SET search_path = pg_catalog",
    "SET statement_timeout = 1234",
    "CREATE TEMPORARY TABLE leftover (id int)",
    "SELECT pg_advisory_lock(42)",
    "DECLARE held CURSOR WITH HOLD FOR SELECT 1",
    "LISTEN news",
    "SET ROLE pg_monitor",
]


def state(request: HttpRequest) -> JsonResponse:
    """The state that a session keeps from one request to the next."""
    return JsonResponse({name: fetch(query) for name, query in STATE.items()})


def set_state(request: HttpRequest) -> JsonResponse:
    """Change every kind of session state; answers like `state`."""
    with connection.cursor() as cursor:
        for statement in STATE_CHANGES:
            cursor.execute(statement)
    return state(request)


def iterate(request: HttpRequest) -> JsonResponse:
    """The tags, through `.iterator()`."""
    return JsonResponse({"tags": [tag.name for tag in Tag.objects.iterator(chunk_size=10)]})


def stream(request: HttpRequest) -> StreamingHttpResponse:
    """Stream `lines` lines of 1 kB, each a row of the database."""

    def lines() -> Iterator[str]:
        with connection.chunked_cursor() as cursor:
            cursor.execute(
                "SELECT repeat('x', 1023) || E'\\n' FROM generate_series(1, %s)",
                [int(request.GET["lines"])],
            )
            for (line,) in cursor:
                yield line

    return StreamingHttpResponse(lines())
