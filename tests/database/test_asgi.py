"""The pool under ASGI, where every request runs in a new thread."""

import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from tests.database import application
from tests.database.application import PATIENT_PING, POOL_MAX
from tests.database.gate import closed_gate
from tests.database.load import ask, ask_at_once, failures, load, reading, slowest
from tests.database.servers import migrated, wait_until
from tests.database.test_frozen import sleeping
from tests.database.test_hang_ups import gauges, sent_request
from tests.database.test_restarts import restart
from tests.stalls import assert_within, repeated_if_stalled

pytestmark = pytest.mark.faults

AT_ONCE = 50
HUNG_UP = 24
MANY = {"DATABASE_POOL_MIN": str(POOL_MAX), "DATABASE_MAX_WAITING": str(AT_ONCE + HUNG_UP)}
FEW = {
    "DATABASE_POOL_MIN": "4",
    "DATABASE_POOL_MAX": "4",
    "DATABASE_MAX_WAITING": "4",
    "DATABASE_ACQUIRE_TIMEOUT": "1",
    "DATABASE_STATEMENT_TIMEOUT": "4",
    "DATABASE_HARD_DEADLINE": "5",
}


def asgi(port: int) -> list[str]:
    command = [sys.executable, "-m", "granian", "--interface", "asgi", "--no-ws"]
    return [*command, "--port", str(port), "tests.database.site.asgi:application"]


def test_fifty_simultaneous_requests_share_the_pool_and_it_stays_complete(
    figures: Callable[[str], None],
) -> None:
    everything_idle = [0, POOL_MAX, 0]
    variables = MANY | PATIENT_PING
    with migrated() as server, application.serving(server.url(), variables, command=asgi) as site:
        wait_until(lambda: gauges(site) == everything_idle, "the pool is filled")
        sessions = set(server.sessions())
        holders = ask_at_once(site.port, ["/api/test/hold?seconds=0.2"] * AT_ONCE)
        with closed_gate(server) as gate, ExitStack() as clients:
            sleep = f"GET /api/test/sleep?{gate.query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
            for _ in range(HUNG_UP):
                clients.enter_context(sent_request(site.port, sleep, politely=False))
            wait_until(lambda: sleeping(server) == POOL_MAX, "their statements run")
        again = ask_at_once(site.port, ["/api/test/hold?seconds=0.2"] * AT_ONCE)
        wait_until(lambda: gauges(site) == everything_idle, "everything is idle again")
        kept = sessions & set(server.sessions())
        died = site.said().count("died with a connection")

    figures(
        f"{AT_ONCE} at once: the slowest {slowest(holders):.2f} s; {HUNG_UP} hung up; {AT_ONCE} at"
        f" once again: {slowest(again):.2f} s; {len(kept)} of {POOL_MAX} sessions are the same"
    )
    assert not failures([*holders, *again])
    assert len(sessions) == POOL_MAX
    # After a disconnect, asgiref may fail to send Django's `request_finished` in the thread of the
    # request (RuntimeError of CurrentThreadExecutor). Then Django does not return the connection.
    # The pool closes it when the thread has ended, and opens another one.
    assert len(sessions) - len(kept) <= died <= HUNG_UP


@repeated_if_stalled
def test_reads_pause_but_do_not_fail_under_asgi(figures: Callable[[str], None]) -> None:
    read = reading("/api/test/select-1", "/api/articles")
    with (
        migrated() as server,
        application.serving(server.url(), MANY, command=asgi) as site,
        load(site.port, 20, read) as replies,
    ):
        time.sleep(1)
        server.terminate_sessions()
        time.sleep(1)
        down = restart(server)
        time.sleep(2)

    figures(
        f"{len(replies)} GETs, {len(failures(replies))} failed, the slowest after"
        f" {slowest(replies):.2f} s; down for {down:.2f} s"
    )
    assert not failures(replies), failures(replies)[0]
    assert_within(slowest(replies), down + 1)


@repeated_if_stalled
def test_the_timeouts_hold_under_asgi(figures: Callable[[str], None]) -> None:
    with (
        migrated() as server,
        application.serving(server.url(), FEW, command=asgi) as site,
        ThreadPoolExecutor(12) as threads,
    ):
        wait_until(lambda: len(server.sessions()) == 4, "the pool is filled")
        with closed_gate(server) as gate:
            hold = f"/api/test/hold?{gate.query}"
            asked = [threads.submit(ask, site.port, hold) for _ in range(12)]
            wait_until(lambda: sum(reply.done() for reply in asked) >= 8, "eight are refused")
        exhausted = [reply.result() for reply in asked]
        statements = threads.submit(ask_at_once, site.port, ["/api/test/sleep?seconds=9"] * 4)
        wait_until(lambda: sleeping(server) == 4, "the statements run")
        server.freeze()
        frozen = statements.result()
        waiting = ask_at_once(site.port, ["/api/test/select-1"] * 4)
        thawed = server.thaw()
        back = wait_until(site.is_up, "the site answers again")

    refused = sorted(reply.seconds for reply in failures(exhausted))
    figures(
        f"12 for 4 connections: {12 - len(refused)} x 200, 503 after"
        f" {', '.join(f'{seconds:.2f}' for seconds in refused)} s; frozen: a statement ended"
        f" after {slowest(frozen):.2f} s, the next request after {slowest(waiting):.2f} s"
    )
    assert len(refused) == 8
    assert {reply.status for reply in [*failures(exhausted), *frozen, *waiting]} == {503}
    assert_within(max(refused[:4]), 0.2)
    assert_within(max(refused[4:]), 1.5)
    assert_within(slowest(frozen), 5.5)
    assert_within(slowest(waiting), 1.5)
    assert_within(back - thawed, 1)
