"""A server that can't reach its database says so, and does not start."""

import subprocess
import time

import pytest

from config.settings import BASE_DIR
from tests.processes import environment, free_port, granian, run

NOBODY_LISTENS = "postgresql://conduit:hidden@127.0.0.1:{port}/conduit"


def assert_it_says_why(stderr: str) -> None:
    sentence = next(line for line in stderr.splitlines() if "can't be reached" in line)
    assert sentence.startswith("The database can't be reached: connection ")
    assert "hidden" not in stderr
    assert "Traceback" not in stderr


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


def test_the_production_server_stops_with_a_sentence() -> None:
    url = NOBODY_LISTENS.format(port=free_port())

    process = subprocess.run(  # noqa: S603 -- our own interpreter
        granian(free_port()),
        cwd=BASE_DIR,
        env=environment(DATABASE_URL=url),
        capture_output=True,
        text=True,
        timeout=20,
    )

    assert process.returncode != 0
    assert_it_says_why(process.stderr)
