"""The three ways to connect, each under its one name."""

import time

import pytest

from config.env import Env
from config.settings import BASE_DIR
from database.url import database
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


def entry(monkeypatch: pytest.MonkeyPatch, **variables: str) -> dict[str, object]:
    monkeypatch.setenv("DATABASE_URL", "postgresql://conduit@127.0.0.1/conduit")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return database(Env(BASE_DIR / "no-such-file"), embedded=None)


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


def test_the_pool_takes_its_limits_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {
        "DATABASE_POOL_MIN": "3",
        "DATABASE_POOL_MAX": "5",
        "DATABASE_ACQUIRE_TIMEOUT": "0.5",
        "DATABASE_MAX_LIFETIME": "60",
        "DATABASE_MAX_IDLE": "30",
    }

    options = entry(monkeypatch, **limits)["OPTIONS"]

    assert options == {
        "connect_timeout": 3,
        "application_name": "conduit",
        "pool": {
            "min_size": 3,
            "max_size": 5,
            "timeout": 0.5,
            "max_lifetime": 60,
            "max_idle": 30,
        },
    }


def test_the_lifetime_is_the_age_of_persistent_connections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    persistent = entry(monkeypatch, DATABASE_CONNECTIONS="persistent", DATABASE_MAX_LIFETIME="60")

    assert persistent["CONN_MAX_AGE"] == 60
    assert persistent["CONN_HEALTH_CHECKS"] is True
    assert "pool" not in persistent["OPTIONS"]  # type: ignore[operator]


def test_the_url_speaks_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = entry(
        monkeypatch,
        DATABASE_URL="postgresql://al%40ice:p%2Fw@db.example:6432/con?sslmode=require&connect_timeout=9",
    )

    assert (parsed["HOST"], parsed["PORT"], parsed["NAME"]) == ("db.example", 6432, "con")
    assert (parsed["USER"], parsed["PASSWORD"]) == ("al@ice", "p/w")
    assert parsed["OPTIONS"]["sslmode"] == "require"  # type: ignore[index]
    assert parsed["OPTIONS"]["connect_timeout"] == 9  # type: ignore[index]


def test_a_management_command_does_not_wait_for_the_threads_of_the_pool(db: None) -> None:
    """A pool that nobody closes holds the end of its process up for 5 s a thread."""
    started = time.monotonic()

    process = run("manage.py", "migrate", "--check", DEBUG="on")

    assert "couldn't stop thread" not in process.stderr
    assert time.monotonic() - started < 5
