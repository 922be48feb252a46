"""PostgreSQL is down for longer than a request waits."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.database import application
from tests.database.load import (
    Reply,
    ask,
    failures,
    first_success,
    load,
    reading,
    slowest,
)
from tests.database.servers import migrated, wait_until
from tests.stalls import assert_within, repeated_if_stalled

pytestmark = pytest.mark.faults

CLIENTS = 20
ACQUIRE_TIMEOUT = 5.0

UNAVAILABLE = {"errors": {"database": ["is unavailable"]}}


def outage(seconds: float) -> tuple[list[Reply], float]:
    """The replies before, during and after an outage, and the time.monotonic() when PostgreSQL
    accepted connections again."""
    read = reading("/api/test/select-1", "/api/articles")
    with migrated() as server, application.serving(server.url()) as site:
        with load(site.port, CLIENTS, read, pause=0.05) as replies:
            time.sleep(1.5)
            server.stop()
            time.sleep(seconds)
            back = server.start()
            time.sleep(3)
        return replies, back


@repeated_if_stalled
def test_requests_succeed_within_a_second_after_an_outage_of_any_length(
    figures: Callable[[str], None],
) -> None:
    lengths = [3, 20, 45]
    with ThreadPoolExecutor() as threads:
        outages = list(threads.map(outage, lengths))

    for length, (replies, back) in zip(lengths, outages, strict=True):
        failed = failures(replies)
        figures(
            f"{length} s: first success after {first_success(replies, back):.2f} s;"
            f" {len(replies)} GETs, {len(failed)} failed,"
            f" the slowest after {slowest(replies):.2f} s"
        )
    for replies, _ in outages:
        failed = failures(replies)
        assert all(reply.status == 503 and "retry-after" in reply.headers for reply in failed)
        assert all(reply.json() == UNAVAILABLE for reply in failed)
    for replies, back in outages:
        assert_within(first_success(replies, back), 1)
        assert_within(slowest(replies), ACQUIRE_TIMEOUT + 0.5)


@pytest.mark.parametrize("size", [8, 20])
@repeated_if_stalled
def test_an_idle_pool_serves_at_once_after_all_its_sessions_were_ended(
    size: int, figures: Callable[[str], None]
) -> None:
    pool = {"DATABASE_POOL_MIN": str(size), "DATABASE_POOL_MAX": str(size)}
    with migrated() as server, application.serving(server.url(), pool) as site:
        wait_until(lambda: len(server.sessions()) >= size, "the pool is filled")
        ended = server.terminate_sessions()
        reply = ask(site.port, "/api/test/select-1")

    figures(f"{ended} sessions ended; next request: {reply}")
    assert reply.status == 200
    assert_within(reply.seconds, 0.5)


def probed_in_an_outage() -> tuple[list[Reply], list[Reply]]:
    """The replies of /livez and those to 48 clients of a server with 16 threads."""
    with (
        migrated() as server,
        application.serving(server.url(), threads=16) as site,
        load(site.port, 48, reading("/api/test/select-1"), pause=0.05) as reads,
        load(site.port, 1, reading("/livez"), pause=0.02) as probes,
    ):
        time.sleep(1)
        server.stop()
        time.sleep(12)
        server.start()
        time.sleep(1)
    return probes, reads


def test_livez_answers_in_time_during_an_outage(figures: Callable[[str], None]) -> None:
    bound = 0.25  # seconds; with one retry, because other load may delay the test's own threads
    for _ in range(2):
        probes, reads = probed_in_an_outage()
        figures(
            f"{len(probes)} of /livez, the slowest after {slowest(probes):.3f} s;"
            f" {len(failures(reads))} of {len(reads)} GETs failed"
        )
        assert not failures(probes)
        if slowest(probes) <= bound:
            break
    assert slowest(probes) <= bound
