"""Runs several calls at the same time, each on its own thread and database connection."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

from django.db import connection, transaction

from articles.models import Article, Tag
from users.models import User

Call = Callable[[], Any]


def at_once(calls: list[Call]) -> list[Any]:
    """The results of the calls. A barrier starts all calls at the same time."""
    barrier = Barrier(len(calls))

    def run(call: Call) -> Any:
        barrier.wait(timeout=30)
        try:
            return call()
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=len(calls)) as threads:
        answers = [threads.submit(run, call) for call in calls]
    return [answer.result() for answer in answers]


def while_deleting(row: Article | Tag | User, call: Call) -> Any:
    """The result of a call that finds the row and then waits for the lock of its deletion."""

    def run() -> Any:
        try:
            return call()
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=1) as thread:
        with transaction.atomic():
            row.delete()
            answer = thread.submit(run)
            wait_for_blocked_connection()
        return answer.result()


def wait_for_blocked_connection() -> None:
    """Waits until another connection waits for a lock of this one; fails after 10 seconds."""
    blocked = "SELECT FROM pg_locks WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))"
    deadline = time.monotonic() + 10
    with connection.cursor() as cursor:
        while not cursor.execute(f"SELECT EXISTS ({blocked})").fetchone()[0]:
            assert time.monotonic() < deadline
            time.sleep(0.01)
