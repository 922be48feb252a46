"""Commands and servers that start without a database report it, or wait for it."""

import time

import pytest

from tests.database.load import ask
from tests.database.servers import migrated, wait_until
from tests.processes import free_port, granian, run, serving
from tests.stalls import assert_within, repeated_if_stalled

UNREACHABLE_URL = "postgresql://conduit:hidden@127.0.0.1:{port}/conduit"
LONG = 60  # seconds; longer than a command needs to start on a busy machine


def assert_reports_the_reason(stderr: str) -> None:
    (sentence,) = stderr.splitlines()
    assert sentence.startswith("The database can't be reached: connection ")
    assert "hidden" not in stderr


@pytest.mark.parametrize(
    "command",
    [["runserver", "127.0.0.1:1", "--noreload"], ["runserver", "127.0.0.1:1"], ["migrate"]],
)
def test_a_command_without_a_database_stops_with_one_line(command: list[str]) -> None:
    url = UNREACHABLE_URL.format(port=free_port())
    started = time.monotonic()

    process = run(
        "manage.py",
        *command,
        DATABASE_URL=url,
        DATABASE_ACQUIRE_TIMEOUT=str(LONG),
        DATABASE_STARTUP_TIMEOUT=str(LONG),
    )

    assert process.returncode == 69
    assert time.monotonic() - started < LONG  # it does not wait for the server
    assert_reports_the_reason(process.stderr)


@pytest.mark.faults
@repeated_if_stalled
def test_another_wsgi_server_starts_without_the_database_and_recovers() -> None:
    """`granian config.wsgi:application`, without the checks of `serve`."""
    with migrated() as database:
        database.stop()
        with serving(granian, DATABASE_URL=database.url(), DATABASE_ACQUIRE_TIMEOUT="1") as server:
            assert server.call("GET", "/livez").status == 200
            assert server.call("GET", "/readyz").status == 503
            assert server.call("GET", "/api/tags").status == 503

            started = database.start()

            back = wait_until(lambda: ask(server.port, "/api/tags").status == 200, "it answers")
            ready = wait_until(lambda: ask(server.port, "/readyz").status == 200, "it is ready")
    assert_within(back - started, 2)
    assert_within(ready - started, 4)
