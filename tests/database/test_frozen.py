"""PostgreSQL is frozen: its sockets stay open, so neither its own timeouts nor those of TCP end a
request."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.database import application
from tests.database.application import POOL_MAX
from tests.database.load import (
    Reply,
    ask_at_once,
    failures,
    first_success,
    load,
    reading,
    slowest,
)
from tests.database.servers import PostgreSQL, migrated, wait_until
from tests.stalls import assert_within, repeated_if_stalled

pytestmark = pytest.mark.faults

HARD_DEADLINE = 15.0  # seconds; larger than the 5 s that a request waits for a connection
FROZEN = 17.0
CLIENTS = 20


def frozen_while_idle() -> tuple[list[Reply], float]:
    """The replies to requests that started during the freeze, and the end of the freeze."""
    with migrated() as server, application.serving(server.url()) as site:
        assert not failures(ask_at_once(site.port, ["/api/test/hold?seconds=0.2"] * POOL_MAX))
        server.freeze()
        with load(site.port, CLIENTS, reading("/api/test/select-1")) as replies:
            time.sleep(FROZEN)
            thawed = server.thaw()
            time.sleep(2)
        return replies, thawed


def frozen_in_mid_query() -> tuple[list[Reply], float]:
    """The same, with a statement running on every connection when the server froze."""
    with (
        migrated() as server,
        application.serving(server.url()) as site,
        ThreadPoolExecutor() as threads,
    ):
        queries = threads.submit(ask_at_once, site.port, ["/api/test/sleep?seconds=5"] * POOL_MAX)
        wait_until(lambda: sleeping(server) == POOL_MAX, "every connection has a statement to run")
        server.freeze()
        with load(site.port, CLIENTS - POOL_MAX, reading("/api/test/select-1")) as replies:
            time.sleep(FROZEN)
            thawed = server.thaw()
            time.sleep(2)
        return [*queries.result(), *replies], thawed


def sleeping(server: PostgreSQL) -> int:
    """How many requests of `/api/test/sleep` run."""
    waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event IN ('PgSleep', 'advisory')"
    return len(server.execute(waits))


@repeated_if_stalled
def test_every_request_is_answered_within_its_deadline_and_succeeds_after_the_freeze(
    figures: Callable[[str], None],
) -> None:
    faults = [frozen_while_idle, frozen_in_mid_query]
    with ThreadPoolExecutor() as threads:
        freezes = [thread.result() for thread in [threads.submit(fault) for fault in faults]]

    for fault, (replies, thawed) in zip(faults, freezes, strict=True):
        figures(
            f"{fault.__name__}: {len(replies)} GETs, {len(failures(replies))} failed, the"
            f" slowest after {slowest(replies):.2f} s; first success"
            f" {first_success(replies, thawed):.2f} s after the freeze"
        )
    for replies, _ in freezes:
        assert all(reply.status == 503 for reply in failures(replies))
    for replies, thawed in freezes:
        assert_within(slowest(replies), HARD_DEADLINE + 0.5)
        assert_within(first_success(replies, thawed), 1)
