"""PostgreSQL restarts while clients read and write: reads pause, and no acknowledged write is lost
or done twice."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from tests.database import application
from tests.database.application import Application
from tests.database.load import Question, Reply, failures, load, longest_gap, reading
from tests.database.servers import PostgreSQL, migrated, wait_until
from tests.stalls import assert_within, repeated_if_stalled

pytestmark = pytest.mark.faults

ROUNDS = 2
DOWN = 2.0  # seconds, of the 5 that a request waits for a connection
READERS, WRITERS = 14, 6

UNAVAILABLE = {"errors": {"database": ["is unavailable"]}}
OUTCOME_UNKNOWN = {"errors": {"database": ["outcome is unknown"]}}


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    with migrated() as server:
        yield server


@pytest.fixture(scope="module")
def site(server: PostgreSQL) -> Iterator[Application]:
    with application.serving(server.url()) as site:
        yield site


def restart(server: PostgreSQL) -> float:
    stopped = time.monotonic()
    server.stop("fast")
    time.sleep(DOWN)
    return server.start() - stopped


def crash(server: PostgreSQL) -> float:
    killed = time.monotonic()
    server.kill()
    time.sleep(DOWN)
    return server.start() - killed


def terminate(server: PostgreSQL) -> float:
    size = application.POOL_MAX
    wait_until(lambda: len(server.sessions()) >= size, "the pool has all its connections")
    server.terminate_sessions()
    return 0.0


def writing() -> Question:
    return Question("POST", f"/api/test/write?id={uuid4()}")


def name(write: Reply) -> str:
    return write.question.path.partition("=")[2]


def names_by_answer(writes: list[Reply]) -> tuple[set[str], set[str]]:
    """The ids of the acknowledged writes, and those of the writes reported as not done."""
    acknowledged = {name(write) for write in writes if write.succeeded}
    return acknowledged, {name(write) for write in writes if write.json() == UNAVAILABLE}


@pytest.mark.parametrize("fault", [restart, crash, terminate])
@repeated_if_stalled
def test_reads_pause_and_writes_get_the_true_outcome(
    fault: Callable[[PostgreSQL], float],
    server: PostgreSQL,
    site: Application,
    figures: Callable[[str], None],
) -> None:
    read = reading("/api/test/select-1", "/api/articles")
    with load(site.port, READERS, read) as reads, load(site.port, WRITERS, writing) as writes:
        downtimes = []
        for _ in range(ROUNDS):
            time.sleep(1.5)
            downtimes.append(fault(server))
        time.sleep(2)

    rows = Counter(row for (row,) in server.execute("SELECT id FROM scratch"))
    acknowledged, refused = names_by_answer(writes)
    lost = acknowledged - rows.keys()
    doubled = [row for row, count in rows.items() if count > 1]
    gap = longest_gap([*reads, *writes])
    failed_reads, failed_writes = failures(reads), failures(writes)
    figures(
        f"{len(reads)} GETs, {len(failed_reads)} failed; {len(writes)} writes,"
        f" {len(failed_writes)} failed, {len(lost)} lost, {len(doubled)} doubled;"
        f" down {max(downtimes):.2f} s, longest gap {gap:.2f} s"
    )

    assert not failed_reads, failed_reads[0]
    assert not lost
    assert not doubled
    assert all(write.status == 503 for write in failed_writes), failed_writes[0]
    assert all(write.json() in (UNAVAILABLE, OUTCOME_UNKNOWN) for write in failed_writes)
    assert not refused & rows.keys(), "a write was refused, but its row exists"
    assert_within(gap, max(downtimes) + 1)
