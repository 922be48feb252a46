"""Which server of a database serves a read, and when its pools are closed."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from time import sleep

import pytest
from django.db import connections

from database.backend import DatabaseWrapper
from database.backend.nodes import LATE_AFTER, TAKE_TIMEOUT, Node
from database.backend.running import running_request
from tests.database.servers import wait_until
from tests.database.test_recorded_writes import (
    ALIAS,
    INSERT,
    Servers,
    answer,
    execute,
    open_servers,
    replicas,
    wrapper,
)
from tests.database.test_recorded_writes import connect as connect
from tests.database.test_recorded_writes import servers as servers
from tests.database.test_recorded_writes import site as site

type Connect = Callable[..., DatabaseWrapper]

pytestmark = pytest.mark.redis

BUSY = 24  # threads that want a connection of the same pool, which has 8


def uses_a_standby() -> bool:
    """Whether a standby serves a GET."""
    roles: list[bool] = []

    def view() -> None:
        with wrapper().cursor() as cursor:
            cursor.execute("SELECT pg_is_in_recovery()")
            roles.append(cursor.fetchone() == (True,))

    response, _ = answer(view, "GET", 200)
    assert response.status_code == 200
    return roles[-1]


def tries_of(work: Callable[[], object]) -> int:
    """How often a GET that does this is run until it succeeds."""
    tries: list[int] = []

    def view() -> None:
        tries.append(1)
        work()

    response, _ = answer(view, "GET", 200)
    assert response.status_code == 200
    return len(tries)


def test_a_standby_that_was_late_serves_reads_again(
    site: DatabaseWrapper, servers: Servers
) -> None:
    open_servers()
    assert uses_a_standby()
    servers.standby.execute("SELECT pg_wal_replay_pause()")
    answer(lambda: execute(INSERT))
    assert not uses_a_standby()
    sleep(LATE_AFTER + 0.1)
    assert not uses_a_standby()
    servers.standby.execute("SELECT pg_wal_replay_resume()")
    wait_until(uses_a_standby, "the standby serves reads", seconds=5)


def test_reads_are_spread_over_the_standbys(connect: Connect, servers: Servers) -> None:
    connect(servers.redis, servers.primary, *[servers.standby] * 2)
    open_servers()
    used = set()

    def view() -> None:
        execute("SELECT 1")
        request = running_request()
        assert request
        used.add(request.nodes[ALIAS])

    for _ in range(40):
        answer(view, "GET", 200)
    primary, *standbys = replicas().nodes
    assert primary.is_primary
    assert used == set(standbys)


def test_closing_the_pool_ends_every_session(site: DatabaseWrapper, servers: Servers) -> None:
    """Django does so before it creates or copies a database for tests."""
    open_servers()
    uses_a_standby()
    answer(lambda: execute(INSERT))
    assert servers.primary.sessions()
    assert servers.standby.sessions()
    site.close_pool()
    wait_until(lambda: not servers.primary.sessions(), "the primary's sessions end")
    wait_until(lambda: not servers.standby.sessions(), "the standby's sessions end")
    with servers.redis.client() as client:
        wait_until(lambda: len(client.client_list()) == 1, "the connections to Redis end")
    open_servers()  # the next use opens other pools
    assert uses_a_standby()


def test_a_read_that_is_slow_on_every_server_is_answered(
    connect: Connect, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_REPLICA_TIMEOUT", "0.5")
    connect(servers.redis, servers.primary, *[servers.standby] * 3)
    open_servers()
    response, _ = answer(lambda: execute("SELECT pg_sleep(1)"), "GET", 200)
    assert response.status_code == 200


def test_a_read_that_was_cut_is_run_again_whatever_the_acquire_timeout_is(
    connect: Connect, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    timeout = connections["default"].limits.acquire_timeout  # type: ignore[attr-defined]  # ours
    monkeypatch.setenv("DATABASE_REPLICA_TIMEOUT", str(timeout + 0.1))
    connect(servers.redis, servers.primary, servers.standby)
    open_servers()
    tries: list[int] = []

    def view() -> None:
        execute("SELECT 1")
        tries.append(1)
        if len(tries) == 1:
            with wrapper().cursor() as cursor:
                cursor.execute("SELECT pg_sleep(%s)", [timeout + 2])

    response, _ = answer(view, "GET", 200)
    assert response.status_code == 200
    assert len(tries) == 2


def test_a_read_that_computes_for_long_is_not_cut(
    connect: Connect, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_REPLICA_TIMEOUT", "0.3")
    connect(servers.redis, servers.primary, servers.standby)
    open_servers()

    def work() -> None:
        execute("SELECT 1")
        sleep(0.8)  # not in the database
        execute("SELECT 1")

    assert tries_of(work) == 1


def test_a_read_with_many_statements_is_not_cut(
    connect: Connect, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_REPLICA_TIMEOUT", "1")
    connect(servers.redis, servers.primary, servers.standby)
    open_servers()

    def work() -> None:
        for _ in range(6):
            execute("SELECT pg_sleep(0.3)")

    assert tries_of(work) == 1


def test_a_read_is_not_cut_if_no_other_server_answers(
    connect: Connect, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_REPLICA_TIMEOUT", "0.5")
    connect(servers.redis, servers.primary, servers.standby)
    open_servers()
    servers.standby.freeze()
    try:
        wait_until(lambda: not replicas().nodes[1].is_well, "the freeze is noticed")
        assert tries_of(lambda: execute("SELECT pg_sleep(1)")) == 1
    finally:
        servers.standby.thaw()


def test_a_slow_read_does_not_keep_others_from_its_server(
    connect: Connect, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(servers.redis, servers.primary, *[servers.standby] * 2)
    open_servers()
    failed: list[Node] = []
    monkeypatch.setattr(Node, "failed", lambda node: failed.append(node))

    response, seconds = answer(lambda: execute("SELECT pg_sleep(2.5)"), "GET", 200)

    assert response.status_code == 200
    assert seconds > 4  # it was cut, and run again
    assert not failed


def test_a_read_with_a_stale_statement_is_run_again_on_the_same_connection(
    connect: Connect, servers: Servers
) -> None:
    connect(servers.redis, servers.primary, *[servers.standby] * 3)
    open_servers()
    sessions: list[int] = []

    def view() -> None:
        with wrapper().cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            sessions.append(cursor.fetchone()[0])
        if len(sessions) < 3:
            execute("EXECUTE missing")

    response, _ = answer(view, "GET", 200)
    assert response.status_code == 200
    assert len(sessions) == 3
    assert len({*sessions}) == 1


def test_the_lease_lives_while_the_pool_of_the_primary_is_busy(
    site: DatabaseWrapper, servers: Servers
) -> None:
    open_servers()
    (primary,) = (node for node in replicas().nodes if node.is_primary)
    wait_until(lambda: replicas().acknowledged.position()[1], "this process has a lease")
    over = Event()

    def read() -> None:
        while not over.is_set():
            with primary.borrowed(TAKE_TIMEOUT) as connection:
                if connection:
                    connection.execute("SELECT pg_sleep(0.3)")

    with ThreadPoolExecutor(BUSY) as threads:
        reads = [threads.submit(read) for _ in range(BUSY)]
        try:
            leases = []
            for _ in range(60):
                sleep(0.1)
                leases.append(replicas().acknowledged.position()[1])
        finally:
            over.set()
        for each in reads:
            each.result()
    assert all(leases)


def test_timelines_of_another_system_say_nothing_about_a_standby(
    site: DatabaseWrapper, servers: Servers
) -> None:
    """A dump or pg_upgrade brings them into the table."""
    servers.primary.execute(
        "INSERT INTO database_timeline (system_identifier, number) VALUES (1, 9)"
    )
    open_servers()
    assert answer(lambda: execute(INSERT))[0].status_code == 201
    wait_until(uses_a_standby, "the standby serves reads")
    servers.standby.execute("SELECT pg_wal_replay_pause()")
    try:
        answer(lambda: execute(INSERT))
        assert not uses_a_standby()
    finally:
        servers.standby.execute("SELECT pg_wal_replay_resume()")
        servers.primary.execute("DELETE FROM database_timeline WHERE system_identifier = 1")


def test_a_read_on_a_primary_that_freezes_is_answered_by_a_standby_once_redis_is_back(
    site: DatabaseWrapper, servers: Servers
) -> None:
    """Without Redis, and after a stall of the machine, reads use the primary."""
    open_servers()
    servers.redis.kill()
    tries: list[int] = []

    def view() -> None:
        execute("SELECT 1")
        tries.append(1)
        if len(tries) == 1:
            servers.redis.start()
            wait_until(lambda: replicas().acknowledged.position()[1], "this process has a lease")
            servers.primary.freeze()
        execute("SELECT 1")

    try:
        response, _ = answer(view, "GET", 200)
    finally:
        servers.primary.thaw()
    assert response.status_code == 200
    assert len(tries) == 2
    wait_until(lambda: replicas().primary is not None, "the primary answers its watcher")


def test_a_connection_that_breaks_says_nothing_about_another_database(
    site: DatabaseWrapper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connections.settings, "other", connections.settings[ALIAS])
    other = connections["other"]
    assert isinstance(other, DatabaseWrapper)
    assert other.replicas
    open_servers()
    failed: list[Node] = []
    monkeypatch.setattr(Node, "failed", lambda node: failed.append(node))
    tries: list[int] = []

    def view() -> None:
        execute("SELECT 1")
        with other.cursor() as cursor:
            cursor.execute("SELECT 1")
        tries.append(1)
        if len(tries) == 1:
            wrapper().connection.cut()
        execute("SELECT 1")

    try:
        response, _ = answer(view, "GET", 200)
        assert response.status_code == 200
        assert len(failed) == 1
        assert failed[0] in replicas().nodes
    finally:
        other.close()
        other.close_pool()
        del connections["other"]
