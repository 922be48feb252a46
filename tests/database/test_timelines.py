"""A primary that was frozen while a standby was promoted, and runs on with a larger LSN."""

from collections.abc import Callable

import pytest

from database.backend import DatabaseWrapper
from tests.database.redis_server import RedisServer
from tests.database.servers import PostgreSQL, migrated, wait_until
from tests.database.test_failover import standby_of
from tests.database.test_recorded_writes import (
    INSERT,
    answer,
    execute,
    open_servers,
    recorded,
    replicas,
    wrapper,
    written,
)
from tests.database.test_recorded_writes import connect as connect

pytestmark = pytest.mark.redis

READS = 100


def test_no_read_uses_a_server_that_has_left_the_history(
    connect: Callable[..., DatabaseWrapper], redis: RedisServer
) -> None:
    with (
        migrated() as old,
        standby_of(old) as new,
        standby_of(old) as diverged,
    ):
        connect(redis, old, new, diverged)
        open_servers()
        assert answer(lambda: execute(INSERT))[0].status_code == 201
        assert recorded().timeline == 1

        old.freeze()
        new.execute("SELECT pg_promote()")
        wait_until(lambda: primary_is(new), "the promotion is noticed")
        wait_until(writes, "a write is acknowledged")
        assert recorded().timeline == 2
        old.thaw()
        run_on(old, new, diverged)
        wait_until(lambda: all(node.is_well for node in replicas().nodes), "all servers answer")
        wait_until(lambda: all(node.was_asked for node in replicas().nodes), "all were asked")

        assert reads() == {True}
        assert primary_is(new)
        redis.kill()
        assert reads() == {True}
        assert recorded_by_this_process() == 2


def writes() -> bool:
    insert = "INSERT INTO scratch (id) VALUES ('after the promotion')"
    return answer(lambda: execute(insert))[0].status_code == 201


def run_on(old: PostgreSQL, new: PostgreSQL, diverged: PostgreSQL) -> None:
    """Let the old primary and its standby get ahead of the new primary, in bytes of WAL."""
    old.execute("INSERT INTO scratch SELECT repeat('x', 1000) FROM generate_series(1, 20000)")
    target = written(new).lsn

    def is_ahead() -> bool:
        ((ahead,),) = diverged.execute(
            "SELECT pg_last_wal_replay_lsn() - '0/0' > %s::numeric", [target]
        )
        return bool(ahead)

    wait_until(is_ahead, "the diverged standby is ahead")
    assert written(old).lsn > target


def primary_is(server: PostgreSQL) -> bool:
    node = replicas().primary
    return node is not None and node.name.endswith(f":{server.port}")


def reads() -> set[bool]:
    """What reads say about whether they see the write after the promotion."""
    seen = set()

    def view() -> None:
        with wrapper().cursor() as cursor:
            cursor.execute("SELECT count(*) FROM scratch WHERE id = 'after the promotion'")
            seen.add(cursor.fetchone()[0] > 0)

    for _ in range(READS):
        assert answer(view, "GET", 200)[0].status_code == 200
    return seen


def recorded_by_this_process() -> int:
    position, has_lease = replicas().acknowledged.position()
    assert position
    assert not has_lease
    return position.timeline
