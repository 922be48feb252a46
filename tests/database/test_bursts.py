"""Bursts of quick reads from many clients: the default settings serve all of them."""

from collections.abc import Callable, Iterator

import pytest

from tests.database import application
from tests.database.application import Application
from tests.database.load import failures, load, reading, slowest
from tests.database.servers import PostgreSQL, migrated, wait_until
from tests.processes import run, runserver

pytestmark = pytest.mark.faults

REQUESTS = 10  # per client


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    with migrated() as server:
        demo = ("--users=20", "--articles=200", "--comments=200")
        process = run("manage.py", "demo_data", *demo, DATABASE_URL=server.url(), DEBUG="on")
        assert process.returncode == 0, process.stderr
        yield server


@pytest.fixture(scope="module")
def production(server: PostgreSQL) -> Iterator[Application]:
    with application.serving(server.url(), workers=2, threads=16) as site:
        yield site


@pytest.fixture(scope="module")
def development(server: PostgreSQL) -> Iterator[Application]:
    with application.serving(server.url(), {"DEBUG": "on"}, command=runserver) as site:
        yield site


@pytest.mark.parametrize("clients", [24, 64, 150])
def test_serve_answers_every_client(
    clients: int, production: Application, figures: Callable[[str], None]
) -> None:
    assert_every_client_is_served(clients, production, figures)


@pytest.mark.parametrize("clients", [16, 40])
def test_runserver_answers_every_client(
    clients: int, development: Application, figures: Callable[[str], None]
) -> None:
    assert_every_client_is_served(clients, development, figures)


def assert_every_client_is_served(
    clients: int, site: Application, figures: Callable[[str], None]
) -> None:
    read = reading("/api/articles", "/api/tags", "/api/test/select-1")
    with load(site.port, clients, read, pause=0) as replies:
        wait_until(lambda: len(replies) >= clients * REQUESTS, "the burst is over")

    refused = failures(replies)
    figures(
        f"{clients} clients: {len(replies)} GETs, {len(refused)} failed, the slowest after"
        f" {slowest(replies):.2f} s"
    )
    assert not refused, refused[0]
