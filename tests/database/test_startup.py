"""What starts without a database says so, or waits for it in silence."""

import time

import pytest

from tests.database.load import ask
from tests.database.servers import migrated, wait_until
from tests.processes import free_port, granian, run, serving

NOBODY_LISTENS = "postgresql://conduit:hidden@127.0.0.1:{port}/conduit"


def assert_it_says_why(stderr: str) -> None:
    (sentence,) = stderr.splitlines()
    assert sentence.startswith("The database can't be reached: connection ")
    assert "hidden" not in stderr


@pytest.mark.parametrize(
    "command",
    [["runserver", "127.0.0.1:1", "--noreload"], ["runserver", "127.0.0.1:1"], ["migrate"]],
)
def test_a_command_stops_with_a_sentence(command: list[str]) -> None:
    url = NOBODY_LISTENS.format(port=free_port())
    started = time.monotonic()

    process = run("manage.py", *command, DATABASE_URL=url)

    assert process.returncode == 69
    assert time.monotonic() - started < 5
    assert_it_says_why(process.stderr)


@pytest.mark.faults
def test_a_server_of_its_own_waits_for_the_database() -> None:
    """`granian config.wsgi:application`, without the checks of `serve`."""
    with migrated() as database:
        database.stop()
        with serving(granian, DATABASE_URL=database.url(), DATABASE_ACQUIRE_TIMEOUT="1") as server:
            assert server.call("GET", "/livez").status == 200
            assert server.call("GET", "/readyz").status == 503
            assert server.call("GET", "/api/tags").status == 503

            database.start()

            wait_until(lambda: ask(server.port, "/api/tags").status == 200, "it answers", 2)
            wait_until(lambda: ask(server.port, "/readyz").status == 200, "it is ready", 2)
