"""A primary and its standby in one DATABASE_URL: requests use the one that accepts writes."""

import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.database import application
from tests.database.clusters import DATABASE
from tests.database.load import Reply, ask_at_once, failures, load, longest_gap, reading, slowest
from tests.database.servers import PostgreSQL, migrated, wait_until
from tests.database.test_restarts import (
    OUTCOME_UNKNOWN,
    READERS,
    UNAVAILABLE,
    WRITERS,
    names_by_answer,
    writing,
)
from tests.stalls import assert_within, repeated_if_stalled

pytestmark = pytest.mark.faults

ACQUIRE_TIMEOUT = 5.0
PROMOTION_DELAY = 1.0  # seconds from the primary's end to the promotion of its standby


@contextmanager
def replicated(**settings: object) -> Iterator[tuple[PostgreSQL, PostgreSQL]]:
    """A primary with these settings, and a hot standby that follows it."""
    with migrated(**settings) as primary, standby_of(primary) as standby:
        yield primary, standby


@contextmanager
def standby_of(primary: PostgreSQL, **settings: object) -> Iterator[PostgreSQL]:
    """A hot standby with these settings that follows this server."""
    with TemporaryDirectory(prefix="standby-") as folder:
        copy = Path(folder, "data")
        subprocess.run(  # noqa: S603 -- PostgreSQL's own program
            [
                primary.kind.programs / "pg_basebackup",
                *(f"--dbname={primary.url()}", f"--pgdata={copy}"),
                *("--write-recovery-conf", "--checkpoint=fast", "--no-sync"),
            ],
            capture_output=True,
            check=True,
        )
        standby = PostgreSQL(**settings)  # type: ignore[arg-type]  # settings of PostgreSQL only
        standby.template = lambda _: copy
        with standby:
            yield standby


def url(*servers: PostgreSQL) -> str:
    """The URL of all servers in this order, for a client that needs the primary."""
    hosts = ",".join(f"{server.host}:{server.port}" for server in servers)
    account = servers[0].url().rpartition("@")[0]
    return f"{account}@{hosts}/{DATABASE}?target_session_attrs=read-write"


def stop(primary: PostgreSQL) -> None:
    primary.stop("fast")


def crash(primary: PostgreSQL) -> None:
    primary.kill()


@repeated_if_stalled
def test_a_first_host_that_is_read_only_frozen_or_down_is_skipped(
    figures: Callable[[str], None],
) -> None:
    with replicated() as (primary, standby), application.serving(url(standby, primary)) as site:

        def ask_with_new_sessions() -> list[Reply]:
            primary.terminate_sessions()
            return ask_at_once(site.port, ["/api/test/select-1", "/api/articles"] * 10)

        read_only = ask_with_new_sessions()
        # Each new connection asks the standby first whether it accepts writes.
        wait_until(lambda: not standby.sessions(), "the standby has no sessions", seconds=5)
        standby.freeze()
        frozen = ask_with_new_sessions()
        standby.thaw()
        standby.stop()
        down = ask_with_new_sessions()

    failed = failures([*read_only, *frozen, *down])
    figures(
        f"the slowest of 20 GETs with new sessions: {slowest(read_only):.2f} s beside a standby,"
        f" {slowest(frozen):.2f} s beside a frozen one, {slowest(down):.2f} s beside one that is"
        f" down; {len(failed)} failed"
    )
    assert not failed, failed[0]
    assert_within(max(slowest(read_only), slowest(down)), 1)
    assert_within(slowest(frozen), 1.5)


@pytest.mark.parametrize("fault", [stop, crash])
@repeated_if_stalled
def test_writes_continue_on_the_standby_after_its_promotion(
    fault: Callable[[PostgreSQL], None], figures: Callable[[str], None]
) -> None:
    read = reading("/api/test/select-1", "/api/articles")
    with (
        # Synchronous replication: an acknowledged write is on both servers.
        replicated(synchronous_standby_names="*") as (primary, standby),
        application.serving(url(primary, standby)) as site,
    ):
        with load(site.port, READERS, read) as reads, load(site.port, WRITERS, writing) as writes:
            time.sleep(1.5)
            began = time.monotonic()
            fault(primary)
            time.sleep(PROMOTION_DELAY)
            standby.execute("SELECT pg_promote()")
            down = time.monotonic() - began
            time.sleep(3)
        rows = Counter(row for (row,) in standby.execute("SELECT id FROM scratch"))

    acknowledged, refused = names_by_answer(writes)
    lost = acknowledged - rows.keys()
    doubled = [row for row, count in rows.items() if count > 1]
    gap = longest_gap(writes)
    failed_reads, failed_writes = failures(reads), failures(writes)
    figures(
        f"no primary for {down:.2f} s, no write for {gap:.2f} s; {len(reads)} GETs,"
        f" {len(failed_reads)} failed; {len(writes)} writes, {len(failed_writes)} failed,"
        f" {len(lost)} lost, {len(doubled)} doubled"
    )
    assert not failed_reads, failed_reads[0]
    assert not lost
    assert not doubled
    assert all(write.status == 503 for write in failed_writes), failed_writes[0]
    assert all(write.json() in (UNAVAILABLE, OUTCOME_UNKNOWN) for write in failed_writes)
    assert not refused & rows.keys()
    assert_within(gap, min(down + 1, ACQUIRE_TIMEOUT))
