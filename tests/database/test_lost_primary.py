"""Reads while the primary is lost, although the recorded position is ahead of every standby."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.database.application import Application
from tests.database.load import ask, failures, load, reading, slowest
from tests.database.redis_server import RedisServer
from tests.database.servers import PostgreSQL, migrated, wait_until
from tests.database.test_failover import standby_of
from tests.database.test_read_only import health, name, ready, serving

pytestmark = pytest.mark.redis

READ = "/api/articles"


@contextmanager
def cluster(**settings: object) -> Iterator[list[PostgreSQL]]:
    """A primary with these settings, and two standbys."""
    with ExitStack() as stack:
        primary = stack.enter_context(migrated(**settings))
        yield [primary, *(stack.enter_context(standby_of(primary)) for _ in range(2))]


SYNCHRONOUS = {"synchronous_standby_names": "ANY 1 (*)"}


def senders(primary: PostgreSQL) -> list[int]:
    """The processes that send WAL, one for each standby, in the order in which these began."""
    rows = primary.execute("SELECT pid FROM pg_stat_replication ORDER BY backend_start")
    return [pid for (pid,) in rows]


def sends_nothing(primary: PostgreSQL) -> bool:
    """Whether its WAL ends with a whole record that every standby that still gets WAL has."""
    ends = primary.execute(
        "SELECT pg_current_wal_insert_lsn() UNION SELECT pg_current_wal_flush_lsn() UNION"
        " SELECT max(flush_lsn) FROM pg_stat_replication"
    )
    return len(ends) == 1


def stop_sending(site: Application, primary: PostgreSQL, *, still_to: int = 0) -> None:
    """Let no standby get more WAL, except the first `still_to`. They have everything before it."""
    wait_until(lambda: len(senders(primary)) == 2, "both standbys follow")
    wait_until(lambda: health(site)["positions"]["lease"], "there is a lease")
    wait_until(lambda: sends_nothing(primary), "the standbys have everything")
    for pid in senders(primary)[still_to:]:
        os.kill(pid, signal.SIGSTOP)


def get_ahead(site: Application, primary: PostgreSQL) -> None:
    """Write WAL that no standby gets, and wait until the position in Redis covers it."""
    stop_sending(site, primary)
    with primary.session() as session:
        session.execute("SET synchronous_commit TO local")
        session.execute("INSERT INTO scratch VALUES ('never acknowledged')")
        row = session.execute("SELECT pg_current_wal_flush_lsn() - '0/0'").fetchone()
    assert row
    wait_until(lambda: recorded(site) >= row[0], "the position is ahead")


def recorded(site: Application) -> int:
    """The LSN in Redis."""
    _, high, low = (health(site)["positions"]["position"] or "0/0/0").split("/")
    return (int(high, 16) << 32) + int(low, 16)


@contextmanager
def reads_go_on(site: Application, *, slowest_read: float) -> Iterator[None]:
    """Read from the beginning of the block until there are 500 replies. No read fails, and none
    takes more than so many seconds."""
    with load(site.port, 4, reading(READ)) as replies:
        yield
        wait_until(lambda: len(failures(replies)) > 0 or len(replies) > 500, "reads go on")

    assert not failures(replies), failures(replies)[0]
    assert slowest(replies) <= slowest_read


def test_reads_go_on_if_the_lost_primary_had_wal_that_no_standby_has(redis: RedisServer) -> None:
    with cluster(**SYNCHRONOUS) as servers, serving(redis, *servers) as site:
        get_ahead(site, servers[0])
        with reads_go_on(site, slowest_read=3):
            servers[0].kill()
        only_reads = (200, {"status": "ok", "reason": "read-only"})
        wait_until(lambda: ready(site) == only_reads, "the probe says so", seconds=3)


def test_reads_go_on_if_the_lost_primary_is_frozen(redis: RedisServer) -> None:
    with cluster(**SYNCHRONOUS) as servers, serving(redis, *servers) as site:
        get_ahead(site, servers[0])
        with reads_go_on(site, slowest_read=4):
            servers[0].freeze()
        servers[0].thaw()


@pytest.mark.parametrize("setting", ["", "ANY 1 (*)"])
def test_reads_fail_if_an_acknowledged_write_may_be_missing(
    setting: str, redis: RedisServer
) -> None:
    """Replication is not synchronous; or a standby that may have the write does not answer."""
    with (
        cluster(synchronous_standby_names=setting) as servers,
        serving(redis, *servers) as site,
    ):
        get_ahead(site, servers[0])
        servers[0].kill()
        if setting:
            servers[2].freeze()
        wait_until(lambda: not answers(site, servers[0]), "the loss is noticed")

        assert ask(site.port, READ).status == 503


def test_reads_fail_if_replication_was_not_synchronous_at_the_time_of_the_write(
    redis: RedisServer,
) -> None:
    with cluster() as servers, serving(redis, *servers) as site:
        primary = servers[0]
        stop_sending(site, primary)
        written = ask(site.port, "/api/test/write?id=acknowledged", "POST")
        primary.execute("ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (*)'")
        primary.execute("SELECT pg_reload_conf()")
        wait_until(lambda: counts_as_synchronous(redis), "the processes know the setting")
        primary.kill()
        wait_until(lambda: not answers(site, primary), "the loss is noticed")

        assert written.status == 201
        assert ask(site.port, READ).status == 503


def counts_as_synchronous(redis: RedisServer) -> bool:
    with redis.client() as client:
        return bool(client.keys("*:synchronous"))


def test_a_standby_is_not_used_before_it_has_replayed_what_another_has_received(
    redis: RedisServer,
) -> None:
    with cluster(**SYNCHRONOUS) as servers, serving(redis, *servers) as site:
        primary, first, _ = servers
        stop_sending(site, primary, still_to=1)
        first.execute("SELECT pg_wal_replay_pause()")
        written = ask(site.port, "/api/test/write?id=acknowledged", "POST")
        get_ahead(site, primary)
        primary.kill()
        wait_until(lambda: "reason" in ready(site)[1], "the loss is noticed", seconds=5)
        early = ask(site.port, READ)
        first.execute("SELECT pg_wal_replay_resume()")
        wait_until(lambda: ask(site.port, READ).status == 200, "reads are served again")
        rows = first.execute("SELECT id FROM scratch")

    assert written.status == 201
    assert early.status == 503
    assert rows == [("acknowledged",)]


def test_a_restarted_standby_is_not_used_before_it_has_replayed_the_wal_on_its_disk(
    redis: RedisServer,
) -> None:
    with cluster(**SYNCHRONOUS) as servers, serving(redis, *servers) as site:
        primary, first, _ = servers
        stop_sending(site, primary, still_to=1)
        first.execute("SELECT pg_wal_replay_pause()")
        written = ask(site.port, "/api/test/write?id=acknowledged", "POST")
        primary.kill()
        first.kill()
        settings = first.settings
        first.settings = settings | {"recovery_min_apply_delay": "1h"}
        first.start()
        wait_until(lambda: not answers(site, primary), "the loss is noticed")
        wait_until(lambda: answers(site, first), "the standby answers")
        early = ask(site.port, READ)
        first.kill()
        first.settings = settings
        first.start()
        wait_until(lambda: ask(site.port, READ).status == 200, "reads are served again")
        rows = first.execute("SELECT id FROM scratch")

    assert written.status == 201
    assert early.status == 503
    assert rows == [("acknowledged",)]


def answers(site: Application, server: PostgreSQL) -> bool:
    answers: bool = health(site)["servers"][name(server)]["answers"]
    return answers
