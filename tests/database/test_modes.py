"""The guarantees that hold without a pool: DATABASE_CONNECTIONS=persistent and per-request."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.database import application
from tests.database.application import THREADS
from tests.database.load import (
    Reply,
    ask_at_once,
    failures,
    first_success,
    load,
    longest_gap,
    reading,
    slowest,
)
from tests.database.servers import PostgreSQL, migrated, wait_until
from tests.database.test_frozen import sleeping
from tests.database.test_restarts import crash, restart
from tests.stalls import assert_within, repeated_if_stalled

pytestmark = pytest.mark.faults

READERS, CLIENTS = 10, 20
DEAD = 20
PING, ACQUIRE = 1.0, 5.0  # timeouts in seconds
# On a loaded machine PostgreSQL needs longer to stop and to start.
PATIENT = {"DATABASE_ACQUIRE_TIMEOUT": "10"}
HARD_DEADLINE, FROZEN = 6.0, 10.0
BOUNDS = {"DATABASE_STATEMENT_TIMEOUT": "4", "DATABASE_HARD_DEADLINE": str(HARD_DEADLINE)}

MODES = ["persistent", "per-request"]


def terminate(server: PostgreSQL) -> float:
    server.terminate_sessions()
    return 0.0


def restarted(mode: str) -> tuple[list[Reply], float]:
    """The replies while PostgreSQL restarts, crashes and ends all sessions, and its longest
    downtime."""
    with (
        migrated() as server,
        application.serving(server.url(), PATIENT | {"DATABASE_CONNECTIONS": mode}) as site,
        load(site.port, READERS, reading("/api/test/select-1", "/api/articles")) as replies,
    ):
        downtimes = []
        for fault in (restart, crash, terminate):
            time.sleep(1.5)
            downtimes.append(fault(server))
        time.sleep(2)
    return replies, max(downtimes)


@repeated_if_stalled
def test_reads_pause_but_do_not_fail_without_a_pool(figures: Callable[[str], None]) -> None:
    with ThreadPoolExecutor() as threads:
        restarts = list(threads.map(restarted, MODES))

    for mode, (replies, down) in zip(MODES, restarts, strict=True):
        figures(
            f"{mode}: {len(replies)} GETs, {len(failures(replies))} failed; down {down:.2f} s,"
            f" longest gap {longest_gap(replies):.2f} s, the slowest {slowest(replies):.2f} s"
        )
    for replies, _ in restarts:
        assert not failures(replies), failures(replies)[0]
    for replies, down in restarts:
        assert_within(longest_gap(replies), down + 1)


@pytest.mark.parametrize(("mode", "kept"), [("persistent", 4), ("per-request", 0)])
@repeated_if_stalled
def test_the_connections_of_dead_threads_are_closed(
    mode: str, kept: int, figures: Callable[[str], None]
) -> None:
    variables = {"DATABASE_CONNECTIONS": mode}
    with migrated() as server, application.serving(server.url(), variables, threads=4) as site:
        dying = ask_at_once(site.port, ["/api/test/thread-dies"] * DEAD)
        died = time.monotonic()
        closed = wait_until(
            lambda: len(server.sessions()) <= kept, "the connections of the dead threads are closed"
        )
        following = ask_at_once(site.port, ["/api/test/select-1"] * DEAD)

    figures(f"{DEAD} threads died; {kept} connections or less {closed - died:.2f} s later")
    assert not failures([*dying, *following])
    assert_within(closed - died, 1)


def frozen(mode: str) -> tuple[list[Reply], list[Reply], float]:
    """The replies to requests that ran when the server froze, those to later requests, and the end
    of the freeze."""
    variables = BOUNDS | {"DATABASE_CONNECTIONS": mode}
    with (
        migrated() as server,
        application.serving(server.url(), variables) as site,
        ThreadPoolExecutor() as threads,
    ):
        # In persistent mode every thread has a connection afterwards.
        assert not failures(ask_at_once(site.port, ["/api/test/hold?seconds=0.5"] * THREADS))
        running = ["/api/test/sleep?seconds=5"] * (THREADS - CLIENTS)
        statements = threads.submit(ask_at_once, site.port, running)
        wait_until(lambda: sleeping(server) == len(running), "the statements run")
        server.freeze()
        with load(site.port, CLIENTS, reading("/api/test/select-1")) as replies:
            time.sleep(FROZEN)
            thawed = server.thaw()
            time.sleep(2)
        return statements.result(), replies, thawed


@repeated_if_stalled
def test_every_request_ends_when_the_server_is_frozen(figures: Callable[[str], None]) -> None:
    with ThreadPoolExecutor() as threads:
        freezes = list(threads.map(frozen, MODES))

    for mode, (statements, replies, thawed) in zip(MODES, freezes, strict=True):
        figures(
            f"{mode}: {len(statements)} statements, the slowest {slowest(statements):.2f} s;"
            f" {len(replies)} GETs, {len(failures(replies))} failed, the slowest"
            f" {slowest(replies):.2f} s; first success {first_success(replies, thawed):.2f} s"
            " after the freeze"
        )
    for statements, replies, _ in freezes:
        assert all(reply.status == 503 for reply in failures([*statements, *replies]))
    for statements, replies, thawed in freezes:
        assert_within(slowest(statements), HARD_DEADLINE + 0.5)
        # An attempt to connect cannot be interrupted, and psycopg waits at least 2 s for it.
        assert_within(slowest(replies), PING + ACQUIRE + 2)
        assert_within(first_success(replies, thawed), 1)
