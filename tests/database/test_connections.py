"""The three values of DATABASE_CONNECTIONS."""

import time

import pytest

from tests.processes import database_url, run, run_forked
from tests.stalls import assert_within, repeated_if_stalled

# Two requests. Prints whether the second used the connection of the first, and whether the thread
# still has a connection at the end.
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
        ("pool", "True False"),  # the pool keeps the connection
        ("persistent", "True True"),  # the thread keeps the connection
        ("per-request", "False False"),
    ],
)
def test_each_mode_keeps_or_closes_the_connection_of_a_request(
    db: None, mode: str, seen: str
) -> None:
    process = run_forked(
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


@repeated_if_stalled
def test_a_management_command_does_not_wait_for_the_threads_of_the_pool(db: None) -> None:
    """A pool that is not closed delays the end of its process by 5 s per thread."""
    started = time.monotonic()
    run("manage.py", "migrate", "--help", DEBUG="on")
    without_pool = time.monotonic() - started

    started = time.monotonic()
    process = run("manage.py", "migrate", "--check", DEBUG="on")
    seconds = time.monotonic() - started

    assert "couldn't stop thread" not in process.stderr
    assert_within(seconds - without_pool, 5)
