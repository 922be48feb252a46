"""The number of connections to PostgreSQL stays within its limit under any load."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import psycopg
import pytest

from tests.database import application
from tests.database.application import POOL_MAX
from tests.database.load import Question, failures, load
from tests.database.servers import CLIENTS, OBSERVER, PostgreSQL, migrated, wait_until

pytestmark = pytest.mark.faults

WORKERS = 2
ALLOWED = WORKERS * (POOL_MAX + 1)  # one more for the probe of each worker
INTERVAL, ENDING = 0.1, 1.0  # seconds
READERS, PROBERS = 24, 2


@contextmanager
def count_sessions(server: PostgreSQL) -> Iterator[list[int]]:
    """The numbers of client sessions, counted ten times a second until the end of the block."""
    counts: list[int] = []
    over = threading.Event()

    def count() -> None:
        with server.session() as session:
            while not over.wait(INTERVAL):
                sessions = number_of(session)
                # A session that was ended is listed until it has cleaned up, while the next one has
                # started.
                ended_by = time.monotonic() + ENDING
                while sessions > ALLOWED and time.monotonic() < ended_by:
                    time.sleep(INTERVAL)
                    sessions = number_of(session)
                counts.append(sessions)

    thread = threading.Thread(target=count)
    thread.start()
    try:
        yield counts
    finally:
        over.set()
        thread.join()


def number_of(session: psycopg.Connection) -> int:
    return len(session.execute(CLIENTS, [OBSERVER]).fetchall())


def asking_over_new_connections(*paths: str) -> Callable[[], Question]:
    """Requests over new connections, so that every worker gets some of them."""
    questions = [Question("GET", path, headers={"Connection": "close"}) for path in paths]
    return partial(next, itertools.cycle(questions))


def test_there_are_never_more_connections_than_pools_and_probes_allow(
    figures: Callable[[str], None],
) -> None:
    # Longer than a pool waits before it opens another connection, so the pools grow to their limit.
    work = asking_over_new_connections(
        "/api/test/hold?seconds=0.1", "/api/test/sleep?seconds=0.1", "/api/articles"
    )
    with migrated() as server, count_sessions(server) as counts:
        with (
            application.serving(server.url(), workers=WORKERS) as site,
            load(site.port, READERS, work) as replies,
            load(site.port, PROBERS, asking_over_new_connections("/readyz")) as probes,
        ):
            wait_until(
                lambda: max(counts) == ALLOWED,
                "both pools and both probes have all their connections",
            )
            ended = []
            for _ in range(3):
                ended.append(server.terminate_sessions())
                time.sleep(2)

        wait_until(lambda: counts[-1] == 0, "no session is left")

    figures(
        f"{len(counts)} samples, at most {max(counts)} connections of {ALLOWED};"
        f" {' and '.join(map(str, ended))} sessions ended under load:"
        f" {len(failures(replies))} of {len(replies)} GETs failed,"
        f" {len(failures(probes))} of {len(probes)} probes"
    )
    assert max(counts) == ALLOWED
    assert not failures(replies), failures(replies)[0]
