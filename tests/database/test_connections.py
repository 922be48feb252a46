"""The three ways to connect, each under its one name."""

import time

import pytest

from tests.processes import database_url, run

# Two requests' worth of work: does the second use the connection of the first, and is a
# connection open between them?
TWO_REQUESTS = """
import django; django.setup()
from django.core.signals import request_finished, request_started
from django.db import connection

def request():
    request_started.send(None)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pid = cursor.fetchone()[0]
    request_finished.send(None)
    return pid

print(request() == request(), connection.connection is not None)
"""


@pytest.mark.parametrize(
    ("mode", "seen"),
    [
        ("pool", "True False"),  # the pool has kept it
        ("persistent", "True True"),  # the thread has kept it
        ("per-request", "False False"),
    ],
)
def test_a_second_request_finds_what_the_mode_promises(db: None, mode: str, seen: str) -> None:
    process = run(
        "-c",
        TWO_REQUESTS,
        DJANGO_SETTINGS_MODULE="config.settings",
        DATABASE_URL=database_url(),
        DATABASE_CONNECTIONS=mode,
        DATABASE_POOL_MIN="1",
        DATABASE_POOL_MAX="1",
    )

    assert process.stderr == ""
    assert process.stdout == f"{seen}\n"


def test_a_management_command_does_not_wait_for_the_threads_of_the_pool(db: None) -> None:
    """A pool that nobody closes holds the end of its process up for 5 s a thread."""
    started = time.monotonic()

    process = run("manage.py", "migrate", "--check", DEBUG="on")

    assert "couldn't stop thread" not in process.stderr
    assert time.monotonic() - started < 5
