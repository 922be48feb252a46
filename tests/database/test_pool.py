"""The pool alone: checkouts, returns, leaks, metrics and logs."""

import math
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from threading import get_ident
from typing import Any

import psycopg
import pytest
from django.db import connection
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

from database import metrics
from database.backend import housekeeping
from database.backend.connection import Connection
from database.backend.outages import Outage
from database.backend.pool import Pool
from database.backend.running import RunningRequest, running_requests
from database.backend.sessions import TRUSTED_FOR
from database.errors import NotConnected
from tests.database.pools import MakePool, taken, value
from tests.database.servers import wait_until
from tests.processes import free_port
from tests.stalls import assert_within, repeated_if_stalled

pytestmark = pytest.mark.django_db(transaction=True)


def backend(pool: Pool) -> int:
    with taken(pool) as session:
        return session.info.backend_pid


def backend_after_use(pool: Pool) -> int:
    with taken(pool) as session:
        session.execute("SELECT 1")
        return session.info.backend_pid


def terminate(*pids: int) -> None:
    """End these sessions and wait until they are gone."""
    arguments = [[*pids]]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) AS pid", arguments)

        def are_gone() -> bool:
            cursor.execute("SELECT 1 FROM pg_stat_activity WHERE pid = ANY(%s)", arguments)
            return cursor.fetchone() is None

        wait_until(are_gone, "the sessions are gone")


def filled(pool: Pool, size: int) -> list[int]:
    """Let the pool grow to this size; return the process ids of its idle sessions."""
    sessions = [pool.getconn() for _ in range(size)]
    pids = [session.info.backend_pid for session in sessions]
    for session in sessions:
        pool.putconn(session)
    return pids


@contextmanager
def request(
    route: str = "GET test",
    *,
    deadline: float = math.inf,
    no_ping_until: float = math.inf,
    acquire_by: float | None = None,
) -> Iterator[RunningRequest]:
    """Run the block as part of a request that is retried if its connection breaks."""
    current = RunningRequest(lambda: route, deadline, no_ping_until, acquire_by)
    running_requests[get_ident()] = current
    try:
        yield current
    finally:
        del running_requests[get_ident()]


@repeated_if_stalled
def test_one_broken_connection_replaces_all_idle_ones(make_pool: MakePool) -> None:
    pool = make_pool(max_size=4)
    terminate(*filled(pool, 4))
    reconnects = value(metrics.RECONNECTS)

    started = time.monotonic()
    with taken(pool) as session:
        assert session.execute("SELECT 1").fetchone() == (1,)

    seconds = time.monotonic() - started
    assert value(metrics.RECONNECTS) - reconnects == 1
    wait_until(lambda: pool.get_stats()["pool_available"] == 4, "the pool is full again")
    assert_within(seconds, 0.5)


@repeated_if_stalled
def test_a_frozen_session_costs_only_the_ping_timeout(make_pool: MakePool) -> None:
    pool = make_pool(ping_timeout=0.3)
    silent = backend(pool)
    os.kill(silent, signal.SIGSTOP)
    try:
        started = time.monotonic()
        fresh = backend(pool)
        seconds = time.monotonic() - started
    finally:
        os.kill(silent, signal.SIGCONT)

    assert fresh != silent
    assert seconds >= 0.3
    assert_within(seconds, 1)


def test_the_timeout_of_an_exhausted_pool_says_that_all_connections_are_in_use(
    make_pool: MakePool,
) -> None:
    pool = make_pool(timeout=0.2)
    with taken(pool), pytest.raises(PoolTimeout, match=r"within 0\.2. s: all 1 are in use"):
        pool.getconn()


def test_a_pool_that_cannot_connect_reports_the_reason(
    make_pool: MakePool, caplog: pytest.LogCaptureFixture
) -> None:
    errors = value(metrics.CONNECT_ERRORS, cause="does_not_exist")
    pool = make_pool(timeout=0.7, params={"dbname": "no_such_database"})

    with pytest.raises(PoolTimeout, match='"no_such_database" does not exist'):
        pool.getconn()

    wait_until(
        lambda: value(metrics.CONNECT_ERRORS, cause="does_not_exist") - errors >= 2,
        "it tries again",
    )
    lines = [record for record in caplog.records if record.name == "database.outages"]
    assert [line.levelname for line in lines] == ["ERROR"]  # one line for all attempts
    assert "no_such_database" in lines[0].getMessage()


@repeated_if_stalled
def test_a_pool_of_any_size_connects_twice_a_second_during_an_outage(make_pool: MakePool) -> None:
    before = value(metrics.CONNECT_ERRORS, cause="refused")

    def errors() -> float:
        return value(metrics.CONNECT_ERRORS, cause="refused") - before

    started = time.monotonic()
    address = {"host": "127.0.0.1", "port": str(free_port())}
    pool = make_pool(min_size=8, max_size=8, params=address)
    seconds = wait_until(lambda: errors() >= 5, "it tries again") - started
    pool.close()

    # The three threads of the pool may begin at the same time.
    assert errors() <= 3 + math.ceil(2 * seconds)
    assert_within(seconds, 3)


def test_a_pool_without_a_password_reports_the_reason(
    make_pool: MakePool, caplog: pytest.LogCaptureFixture
) -> None:
    pool = make_pool()
    terminate(*filled(pool, 1))

    def params() -> dict[str, Any]:
        raise NotConnected("the file is gone")

    pool.setup.new_params = params
    with pytest.raises(PoolTimeout, match="the file is gone"):
        pool.getconn(0.7)

    lines = [r.getMessage() for r in caplog.records if r.name == "database.outages"]
    assert lines == ["No connection to the database 'test': the file is gone"]


def test_the_configuration_of_a_new_session_is_bounded_by_the_ping_timeout(
    make_pool: MakePool,
) -> None:
    sleeps = iter([30, 0])

    def configure(session: Connection) -> None:
        session.execute("SELECT pg_sleep(%s)", [next(sleeps)])

    pool = make_pool(configure=configure, ping_timeout=0.2, timeout=10)
    started = time.monotonic()
    with taken(pool):
        assert time.monotonic() - started < 5


def test_a_full_queue_refuses_at_once(make_pool: MakePool) -> None:
    pool = make_pool(max_waiting=1, timeout=1)
    with taken(pool), ThreadPoolExecutor() as threads:
        waiting = threads.submit(pool.getconn)
        wait_until(lambda: pool.get_stats().get("requests_waiting") == 1, "one request waits")
        started = time.monotonic()
        with pytest.raises(TooManyRequests):
            pool.getconn()
        assert time.monotonic() - started < 0.1
        with pytest.raises(PoolTimeout):
            waiting.result()


def test_a_burst_gets_all_connections_of_a_pool_that_has_not_grown_yet(
    make_pool: MakePool,
) -> None:
    pool = make_pool(max_size=4, max_waiting=1)
    everybody = threading.Barrier(4)

    def work() -> None:
        with taken(pool):
            everybody.wait(5)

    with ThreadPoolExecutor() as threads:
        for result in [threads.submit(work) for _ in range(4)]:
            result.result()


def test_a_closed_pool_refuses_at_once(make_pool: MakePool) -> None:
    pool = make_pool()
    pool.close()
    with pytest.raises(PoolClosed):
        pool.getconn()


@repeated_if_stalled
def test_a_retry_waits_only_for_the_rest_of_the_acquire_timeout(make_pool: MakePool) -> None:
    pool = make_pool(timeout=5)
    now = time.monotonic()
    with request(acquire_by=now + 0.2), taken(pool), pytest.raises(PoolTimeout):
        pool.getconn()
    assert_within(time.monotonic() - now, 0.5)


def test_a_request_with_a_retry_gets_a_recently_used_connection_without_a_ping(
    make_pool: MakePool,
) -> None:
    pool = make_pool()
    with taken(pool) as session:
        broken = session.info.backend_pid
        time.sleep(TRUSTED_FOR)
        session.execute("SELECT 1")
    terminate(broken)

    with request():
        assert backend(pool) == broken


@pytest.mark.parametrize("no_ping_until", [-math.inf, 0])
def test_a_request_without_a_retry_gets_a_pinged_connection(
    make_pool: MakePool, no_ping_until: float
) -> None:
    pool = make_pool()
    broken = backend_after_use(pool)
    terminate(broken)

    with request(no_ping_until=no_ping_until):
        assert backend(pool) != broken


def test_a_connection_that_was_used_longer_ago_is_pinged(make_pool: MakePool) -> None:
    pool = make_pool()
    broken = backend_after_use(pool)
    terminate(broken)
    time.sleep(TRUSTED_FOR)

    with request():
        assert backend(pool) != broken


def test_a_connection_that_was_returned_recently_but_not_used_is_pinged(
    make_pool: MakePool,
) -> None:
    pool = make_pool()
    with taken(pool) as session:
        broken = session.info.backend_pid
        time.sleep(TRUSTED_FOR)
    terminate(broken)

    with request():
        assert backend(pool) != broken


def test_all_connections_are_pinged_after_one_came_back_broken(
    make_pool: MakePool,
) -> None:
    pool = make_pool(min_size=4, max_size=4)
    sessions = [pool.getconn() for _ in range(4)]
    broken = {session.info.backend_pid for session in sessions}
    terminate(*broken)
    for session in sessions[1:]:
        pool.putconn(session)
    with suppress(psycopg.OperationalError):
        sessions[0].execute("SELECT 1")
    pool.putconn(sessions[0])

    with request():
        for _ in range(4):
            assert backend(pool) not in broken


@pytest.mark.parametrize("statement", ["SELECT 1", "SELECT nothing"])
def test_an_open_transaction_is_rolled_back(make_pool: MakePool, statement: str) -> None:
    pool = make_pool()
    with taken(pool) as session:
        before = session.info.backend_pid
        session.autocommit = False
        with suppress(psycopg.Error):
            session.execute(statement)
    with taken(pool) as session:
        assert session.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        assert session.info.backend_pid == before


def test_a_session_whose_state_did_not_change_is_not_reset(make_pool: MakePool) -> None:
    pool = make_pool()
    with taken(pool) as session:
        # Through libpq, so that the connection does not know that it needs a reset.
        session.pgconn.exec_(b"SET work_mem = '7MB'")
        session.execute("SELECT 1")
    with taken(pool) as session:
        assert session.execute("SHOW work_mem").fetchone() == ("7MB",)


def test_statements_prepared_by_psycopg_survive_a_reset(make_pool: MakePool) -> None:
    pool = make_pool(params={"prepare_threshold": 5})
    with taken(pool) as session:
        with psycopg.Cursor(session) as cursor:
            cursor.execute("SELECT 1", prepare=True)
        session.execute("SET work_mem = '7MB'")
    with taken(pool) as session:
        assert session.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (1,)
        assert session.execute("SHOW work_mem").fetchone() != ("7MB",)


def test_a_reset_session_is_configured_again(make_pool: MakePool) -> None:
    def configure(session: Connection) -> None:
        session.execute("SET work_mem = '5MB'")

    pool = make_pool(configure=configure)
    for _ in range(2):
        with taken(pool) as session:
            assert session.execute("SHOW work_mem").fetchone() == ("5MB",)
            session.execute("SET work_mem = '7MB'")


def test_behind_pgbouncer_no_session_is_reset(make_pool: MakePool) -> None:
    pool = make_pool(resets=False)
    with taken(pool) as session:
        session.execute("SET work_mem = '7MB'")
    with taken(pool) as session:
        assert session.execute("SHOW work_mem").fetchone() == ("7MB",)


@repeated_if_stalled
def test_a_connection_that_runs_a_statement_is_replaced_at_once(
    make_pool: MakePool,
) -> None:
    pool = make_pool()
    session = pool.getconn()
    before = session.info.backend_pid
    rows = session.cursor().stream("SELECT generate_series(1, 100000)")
    next(rows)  # the cursor now holds the lock of the connection

    started = time.monotonic()
    pool.putconn(session)

    seconds = time.monotonic() - started
    assert backend(pool) != before
    with suppress(psycopg.Error):
        rows.close()
    assert_within(seconds, 0.5)


def test_an_interrupted_checkout_does_not_lose_the_connection(
    make_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = make_pool()

    def interrupted(session: Connection, seconds: float) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Connection, "ping", interrupted)
        with pytest.raises(KeyboardInterrupt):
            pool.getconn()

    assert backend(pool)


def test_a_session_that_became_read_only_is_closed(make_pool: MakePool) -> None:
    pool = make_pool()
    with taken(pool) as session:
        before = session.info.backend_pid
        # Like a primary that has become a standby and keeps its sessions open.
        session.pgconn.exec_(b"SET default_transaction_read_only = on")
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            session.execute("CREATE TABLE nothing ()")
    assert backend(pool) != before


def test_a_session_with_a_statement_prepared_by_sql_is_closed(make_pool: MakePool) -> None:
    pool = make_pool()
    with taken(pool) as session:
        before = session.info.backend_pid
        session.execute("PREPARE mine AS SELECT 1")
    assert backend(pool) != before


def test_an_idle_connection_over_its_lifetime_is_replaced(
    make_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "SAMPLE_INTERVAL", 0.1)
    pool = make_pool(max_lifetime=0.5)
    before = backend(pool)

    def replaced() -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", [before])
            return cursor.fetchone() is None

    wait_until(replaced, "the idle connection is closed")


def test_a_connection_held_for_long_is_reported_with_two_stack_traces(
    make_pool: MakePool, caplog: pytest.LogCaptureFixture
) -> None:
    pool = make_pool(leak_warning=0.2)
    leaks = value(metrics.LEAKS, kind="held")
    done = threading.Event()

    def hold_until_done() -> None:
        with taken(pool):
            done.wait(10)

    with ThreadPoolExecutor() as threads:
        threads.submit(hold_until_done)
        wait_until(lambda: value(metrics.LEAKS, kind="held") - leaks == 1, "the leak is reported")
        done.set()

    report = next(
        r.getMessage() for r in caplog.records if "has been checked out" in r.getMessage()
    )
    taken_here, is_here = report.split("The thread is here now")
    assert "in hold_until_done" in taken_here
    assert "done.wait(10)" in is_here


@repeated_if_stalled
def test_the_connection_of_a_dead_thread_comes_back(
    make_pool: MakePool, caplog: pytest.LogCaptureFixture
) -> None:
    pool = make_pool()

    def die() -> None:
        pool.getconn()

    thread = threading.Thread(target=die)
    thread.start()
    thread.join()
    started = time.monotonic()

    with taken(pool):
        seconds = time.monotonic() - started

    report = next(r.getMessage() for r in caplog.records if "died with" in r.getMessage())
    assert f'{__file__}", line {die.__code__.co_firstlineno + 1}, in die' in report
    assert_within(seconds, 0.5)


@repeated_if_stalled
def test_the_hard_deadline_of_a_request_cuts_its_connection(
    make_pool: MakePool, caplog: pytest.LogCaptureFixture
) -> None:
    pool = make_pool()
    connection.close()  # otherwise this thread's connection would be cut too
    started = time.monotonic()
    with request("GET test/sleep", deadline=started + 0.3) as current, taken(pool) as session:
        pid = session.info.backend_pid
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT pg_sleep(10)")

    seconds = time.monotonic() - started
    terminate(pid)  # the session still sleeps: it does not notice the cut
    assert current.cut
    assert any("GET test/sleep exceeded its hard deadline" in r.message for r in caplog.records)
    assert_within(seconds, 1)


def test_a_connection_cut_while_idle_does_not_replace_the_others(
    make_pool: MakePool,
) -> None:
    pool = make_pool(max_size=2)
    pids = filled(pool, 2)
    reconnects = value(metrics.RECONNECTS)
    with request(deadline=time.monotonic() - 1) as current, taken(pool) as session:
        pids.remove(session.info.backend_pid)
        wait_until(lambda: current.cut, "the request is over its deadline")

    assert backend(pool) == pids[0]
    assert value(metrics.RECONNECTS) == reconnects


def test_a_closed_connection_leaves_no_file_descriptor(make_pool: MakePool) -> None:
    pool = make_pool()
    descriptors = []
    for _ in range(3):
        with taken(pool) as session:
            session.close()
        backend(pool)
        descriptors.append(len(os.listdir("/proc/self/fd")))
    assert len(set(descriptors)) == 1


def test_the_figures_count_connections_in_use_and_idle(make_pool: MakePool) -> None:
    pool = make_pool(max_size=2)
    filled(pool, 2)
    with taken(pool):
        assert pool.in_use == 1
        assert pool.get_stats()["pool_available"] == 1
    assert pool.in_use == 0


def test_a_slow_statement_is_logged_without_its_parameters(
    make_pool: MakePool, caplog: pytest.LogCaptureFixture
) -> None:
    pool = make_pool(slow_query=0.05)
    with taken(pool) as session:
        session.execute("SELECT pg_sleep(0.1),\n    %s::text", ["a secret"])
        session.execute("SELECT 1")

    lines = [r.getMessage() for r in caplog.records if r.name == "database.statements"]
    assert len(lines) == 1
    assert "SELECT pg_sleep(0.1), %s::text" in lines[0]
    assert "a secret" not in lines[0]


def test_the_end_of_an_outage_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    outage = Outage("default")
    for words in ("connection refused", "the database system is starting up"):
        outage.failed(psycopg.OperationalError(words))
    outage.ended()
    outage.ended()

    begin, end = (record.getMessage() for record in caplog.records)
    assert "connection refused" in begin
    assert (
        "can be reached again after 0.0 s. The cause was: the database system is starting up" in end
    )
