"""Each commit raises the position in Redis, and no read uses a server that lacks the commit."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import LiteralString, NamedTuple

import psycopg
import pytest
import pytest_django
from django.db import DatabaseError, connections, transaction
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from psycopg import sql
from pytest_django import Settings

from config.environment.reader import Env
from database.backend import DatabaseWrapper, close_pools, release_connection
from database.backend.recording import LEASES_END
from database.backend.replicas import Replicas
from database.backend.writes import may_write
from database.positions import Position
from database.requests import DatabaseMiddleware
from database.settings.url import database
from tests.database.redis_server import RedisServer
from tests.database.servers import PostgreSQL, migrated, wait_until
from tests.database.test_failover import standby_of, url
from tests.processes import run_forked
from tests.stalls import assert_within, repeated_if_stalled

pytestmark = pytest.mark.redis

ALIAS = "site"
INSERT: LiteralString = "INSERT INTO scratch (id) VALUES ('new')"
FUNCTION: LiteralString = """
    CREATE FUNCTION add_row() RETURNS int LANGUAGE sql
    AS 'INSERT INTO scratch (id) VALUES (''new'') RETURNING 1'
"""


class Servers(NamedTuple):
    primary: PostgreSQL
    standby: PostgreSQL
    redis: RedisServer


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is not installed")
    redis = RedisServer(tmp_path_factory.mktemp("redis"))
    settings = {"max_prepared_transactions": 5}
    with migrated(**settings) as primary, standby_of(primary, **settings) as standby:
        primary.execute(FUNCTION)
        redis.start()
        yield Servers(primary, standby, redis)
        redis.stop()


@pytest.fixture
def connect(
    django_db_blocker: pytest_django.DjangoDbBlocker,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[..., DatabaseWrapper]]:
    """`connect(redis, *servers)` makes the database ALIAS of the project."""
    monkeypatch.setattr(DatabaseWrapper, "_connection_pools", {})
    monkeypatch.setattr(DatabaseWrapper, "_replicas", {})

    def made(redis: RedisServer, *servers: PostgreSQL) -> DatabaseWrapper:
        settings.DATABASE_POSITIONS_URL = redis.url
        for name, value in (("URL", url(*servers)), ("REPLICA_READS", "on")):
            monkeypatch.setenv(f"DATABASE_{name}", value)
        entry = database(Env(Path(os.devnull)), "conduit", debug=False, embedded=None, threads=16)
        defaults = {"ATOMIC_REQUESTS": False, "AUTOCOMMIT": True, "CONN_HEALTH_CHECKS": True}
        template = connections["default"].settings_dict
        monkeypatch.setitem(connections.settings, ALIAS, template | defaults | entry)
        return wrapper()

    with django_db_blocker.unblock():
        yield made
        wrapper().close()
        close_pools()
        del connections[ALIAS]


@pytest.fixture
def site(connect: Callable[..., DatabaseWrapper], servers: Servers) -> Iterator[DatabaseWrapper]:
    with servers.redis.client() as client:
        client.flushall()
    yield connect(servers.redis, servers.primary, servers.standby)
    servers.standby.execute("SELECT pg_wal_replay_resume()")
    if servers.redis.process.poll() is not None:
        servers.redis.start()


def wrapper() -> DatabaseWrapper:
    each = connections[ALIAS]
    assert isinstance(each, DatabaseWrapper)
    return each


def replicas() -> Replicas:
    each = wrapper().replicas
    assert each
    return each


def execute(statement: LiteralString) -> None:
    with wrapper().cursor() as cursor:
        cursor.execute(statement)


def recorded() -> Position:
    """The position in Redis."""
    shared = replicas().shared
    assert shared
    return shared.read()[0] or Position(0, 0)


def written(server: PostgreSQL) -> Position:
    ((lsn,),) = server.execute("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint")
    return Position(1, lsn)


def answer(
    view: Callable[[], object], method: str = "POST", status: int = 201
) -> tuple[HttpResponse, float]:
    """The response of the middleware around a view, and its seconds."""

    def get_response(request: HttpRequest) -> HttpResponse:
        try:
            view()
        except DatabaseError as error:
            response = middleware.process_exception(request, error)
            assert response
            return response
        return HttpResponse(status=status)

    began, middleware = monotonic(), DatabaseMiddleware(get_response)
    response = middleware(RequestFactory().generic(method, "/api/test"))
    assert isinstance(response, HttpResponse)
    wrapper().close()
    return response, monotonic() - began


def session() -> psycopg.Connection:
    wrapper().ensure_connection()
    connection: psycopg.Connection = wrapper().connection
    return connection


def in_a_transaction() -> None:
    with transaction.atomic(using=ALIAS):
        execute(INSERT)
        execute("SELECT 1")


def in_a_transaction_of_psycopg() -> None:
    with session().transaction():
        session().execute(INSERT)
        session().execute("SELECT 1")


def committed_by_hand() -> None:
    wrapper().set_autocommit(False)
    execute(INSERT)
    wrapper().commit()


def with_copy() -> None:
    with session().cursor() as cursor, cursor.copy("COPY scratch FROM STDIN") as copy:
        copy.write_row(["new"])


def with_executemany() -> None:
    with wrapper().cursor() as cursor:
        cursor.executemany("INSERT INTO scratch (id) VALUES (%s)", [["new"], ["newer"]])


def with_a_stream() -> None:
    with session().cursor() as cursor:
        assert [*cursor.stream("INSERT INTO scratch (id) VALUES ('new') RETURNING 1")] == [(1,)]


def in_a_pipeline() -> None:
    with session().pipeline():
        session().execute(INSERT)


WAYS: list[Callable[[], object]] = [
    lambda: execute(INSERT),
    lambda: execute("SELECT add_row()"),
    lambda: execute("DO $$ BEGIN PERFORM add_row(); END $$"),
    lambda: execute("WITH one AS (INSERT INTO scratch (id) VALUES ('new') RETURNING 1) TABLE one"),
    lambda: execute("ALTER TABLE scratch SET (fillfactor = 90)"),
    lambda: session().execute(INSERT.encode()),
    lambda: session().execute(sql.SQL(INSERT)),
    in_a_transaction,
    in_a_transaction_of_psycopg,
    committed_by_hand,
    with_copy,
    with_executemany,
    with_a_stream,
    in_a_pipeline,
]


@pytest.mark.parametrize("way", WAYS)
def test_each_way_to_write_outside_of_requests_raises_the_position_at_once(
    site: DatabaseWrapper, servers: Servers, way: Callable[[], object]
) -> None:
    before = written(servers.primary)
    way()
    assert recorded() > before


@pytest.mark.parametrize("way", WAYS)
def test_each_way_to_write_in_a_request_raises_the_position_before_the_answer(
    site: DatabaseWrapper, servers: Servers, way: Callable[[], object]
) -> None:
    before = written(servers.primary)
    response, _ = answer(way)
    assert response.status_code == 201
    assert recorded() > before
    site.set_autocommit(True)


def test_a_prepared_transaction_raises_the_position_when_it_is_committed(
    site: DatabaseWrapper, servers: Servers
) -> None:
    execute("BEGIN")
    execute(INSERT)
    execute("PREPARE TRANSACTION 'one'")
    before = written(servers.primary)
    execute("COMMIT PREPARED 'one'")
    assert recorded() > before


def test_a_commit_that_is_not_flushed_yet_counts(site: DatabaseWrapper, servers: Servers) -> None:
    servers.primary.execute("ALTER SYSTEM SET wal_writer_delay = '10s'")
    servers.primary.execute("SELECT pg_reload_conf()")
    before = written(servers.primary)
    with transaction.atomic(using=ALIAS):
        execute("SET LOCAL Synchronous_Commit TO off")
        execute(INSERT)
    assert recorded() > before
    servers.primary.execute("ALTER SYSTEM RESET wal_writer_delay")
    servers.primary.execute("SELECT pg_reload_conf()")


def test_nothing_is_recorded_before_the_commit_and_after_a_rollback(site: DatabaseWrapper) -> None:
    with transaction.atomic(using=ALIAS):
        execute(INSERT)
        assert recorded() == (0, 0)
    assert recorded() > (0, 0)

    def view() -> None:
        site.set_autocommit(False)
        execute(INSERT)

    before = recorded()
    answer(view)  # leaves its transaction open
    assert recorded() == before
    site.set_autocommit(True)


def test_a_commit_counts_although_another_transaction_is_open(
    site: DatabaseWrapper, servers: Servers
) -> None:
    def view() -> None:
        committed_by_hand()
        execute("SELECT 1")

    before = written(servers.primary)
    response, _ = answer(view)
    assert response.status_code == 201
    assert recorded() > before
    site.set_autocommit(True)


def test_a_commit_counts_although_the_request_has_returned_its_connection(
    site: DatabaseWrapper, servers: Servers
) -> None:
    def view() -> None:
        execute(INSERT)
        release_connection()
        execute("SELECT 1")

    before = written(servers.primary)
    answer(view)
    assert recorded() > before


def test_the_answer_to_a_write_that_changed_nothing_covers_what_it_has_seen(
    site: DatabaseWrapper, servers: Servers
) -> None:
    """Another request has written the same, and has not recorded it yet."""
    before = written(servers.primary)
    servers.primary.execute(INSERT)
    answer(lambda: execute("SELECT 1 FROM scratch"))
    assert recorded() > before


def test_threads_record_their_commits(site: DatabaseWrapper, servers: Servers) -> None:
    def write() -> None:
        execute(INSERT)
        connections.close_all()

    before = written(servers.primary)
    thread = threading.Thread(target=write)
    thread.start()
    thread.join()
    assert recorded() > before


def test_commands_record_their_commits(site: DatabaseWrapper, servers: Servers) -> None:
    before = written(servers.primary)
    run_command(servers, "migrate", "sessions", "zero", "--fake")
    assert recorded() > before
    before = written(servers.primary)
    run_command(servers, "migrate", "sessions", "--fake")
    assert recorded() > before


def run_command(servers: Servers, *arguments: str) -> float:
    began = monotonic()
    process = run_forked(
        "manage.py",
        *arguments,
        "--skip-checks",
        DATABASE_URL=url(servers.primary, servers.standby),
        DATABASE_REPLICA_READS="on",
        CACHE_URL=servers.redis.url,
    )
    assert process.returncode == 0, process.stderr
    return monotonic() - began


# Each statement, and whether it may write.
STATEMENTS: dict[LiteralString, bool] = {
    "SELECT 1": False,
    "  select id from scratch where id = 'a'": False,
    "SELECT count(*), max(id) FROM scratch GROUP BY id HAVING count(*) > 1": False,
    "VALUES (1), (2)": False,
    "WITH one AS (SELECT 1) SELECT * FROM one": False,
    "BEGIN": False,
    "SAVEPOINT one": False,
    "RELEASE SAVEPOINT one": False,
    "COMMIT": False,
    "ROLLBACK": False,
    "SELECT * FROM articles_article WHERE title = 'x' ORDER BY id LIMIT 1": False,
    "INSERT INTO scratch VALUES ('a')": True,
    "insert into scratch select 'a'": True,
    "\nUPDATE scratch SET id = 'b'": True,
    "DELETE FROM scratch": True,
    "MERGE INTO scratch USING (SELECT 'a' AS id) AS new ON scratch.id = new.id"
    " WHEN NOT MATCHED THEN INSERT VALUES (new.id)": True,
    "TRUNCATE scratch": True,
    "COPY scratch FROM STDIN": True,
    "WITH one AS (DELETE FROM scratch RETURNING id) SELECT * FROM one": True,
    "SELECT * INTO elsewhere FROM scratch": True,
    "CREATE TABLE elsewhere AS SELECT 1": True,
    "ALTER TABLE scratch ADD COLUMN other int": True,
    "DROP TABLE scratch": True,
    "REFRESH MATERIALIZED VIEW newest": True,
    "SELECT add_row()": True,
    "SELECT public.add_row()": True,
    'SELECT "add_row"()': True,
    "SELECT add_row /* a comment */ ()": True,
    "VALUES (add_row())": True,
    "DECLARE one CURSOR FOR SELECT add_row()": True,
    "FETCH 1 FROM one": True,
    "EXPLAIN ANALYZE SELECT add_row()": True,
    "EXPLAIN ANALYZE DELETE FROM scratch": True,
    "SELECT nextval('articles_article_id_seq')": True,
    "SELECT setval('articles_article_id_seq', 1)": True,
    "SELECT lo_create(0)": True,
    "SELECT dblink_exec('', '')": True,
    "EXECUTE one": True,
    "CALL one()": True,
    "DO $$ BEGIN PERFORM add_row(); END $$": True,
    "COMMIT PREPARED 'one'": True,
    "NOTIFY one": True,
    "SELECT 1; DELETE FROM scratch": True,
    "-- a comment\nDELETE FROM scratch": True,
    "/* a comment */ SELECT add_row()": True,
    "(SELECT add_row())": True,
    "SELECT 1 FROM scratch FOR UPDATE": True,
    "IMPORT FOREIGN SCHEMA one FROM SERVER two INTO three": True,
    "SECURITY LABEL ON TABLE scratch IS 'x'": True,
    "": True,
}


@pytest.mark.parametrize("statement", STATEMENTS)
def test_no_statement_that_writes_is_taken_for_a_read(statement: LiteralString) -> None:
    assert may_write(statement) == STATEMENTS[statement]


def test_postgresql_agrees_that_the_reads_write_nothing(servers: Servers) -> None:
    """A standby refuses every write."""
    with servers.standby.session() as session:
        for statement, writes in STATEMENTS.items():
            if not writes:
                session.execute(statement)


@repeated_if_stalled
def test_a_get_whose_statement_looks_like_a_write_is_answered_by_a_standby_at_once(
    site: DatabaseWrapper, servers: Servers
) -> None:
    open_servers()
    roles = []

    def view() -> None:
        with wrapper().cursor() as cursor:
            cursor.execute("SELECT pg_is_in_recovery() /* a comment */")
            roles.append(cursor.fetchone())

    took = [answer(view, "GET", 200)[1] for _ in range(20)]
    assert roles.count((True,)) > 0
    assert_within(max(took), 1)


@repeated_if_stalled
def test_a_get_that_writes_is_run_again_on_the_primary(
    site: DatabaseWrapper, servers: Servers
) -> None:
    open_servers()
    slowest = 0.0
    for _ in range(10):
        before = written(servers.primary)
        response, took = answer(lambda: execute(INSERT), "GET", 200)
        slowest = max(slowest, took)
        assert response.status_code == 200
        assert recorded() > before
    assert_within(slowest, 1.5)


@repeated_if_stalled
def test_a_connection_that_breaks_after_the_commit_delays_the_answer(
    site: DatabaseWrapper, servers: Servers
) -> None:
    """Until a watcher has asked the primary again."""
    open_servers()

    def view() -> None:
        execute(INSERT)
        wrapper().connection.cut()

    before = written(servers.primary)
    response, took = answer(view)
    assert response.status_code == 201
    assert recorded() > before
    assert_within(took, LEASES_END)


@repeated_if_stalled
def test_a_primary_that_freezes_after_the_commit_makes_the_outcome_unknown(
    site: DatabaseWrapper, servers: Servers
) -> None:
    """The standby may lack the commit, and reads go on there."""
    open_servers()

    def view() -> None:
        execute(INSERT)
        servers.primary.freeze()

    try:
        response, took = answer(view)
    finally:
        servers.primary.thaw()
    assert response.status_code == 503
    assert b"outcome is unknown" in response.content
    wait_until(lambda: replicas().primary is not None, "the primary answers its watcher")
    assert_within(took, 5)


@repeated_if_stalled
def test_without_redis_a_write_waits_until_each_standby_has_replayed_it(
    site: DatabaseWrapper, servers: Servers
) -> None:
    open_servers()
    servers.redis.kill()
    responses = [answer(lambda: execute(INSERT)) for _ in range(3)]
    assert {response.status_code for response, _ in responses} == {201}
    servers.standby.execute("SELECT pg_wal_replay_pause()")
    in_use = []

    def look() -> None:
        wait_until(lambda: not site.pool or site.pool.in_use == 0, "no connection waits", 2)
        in_use.append(site.pool.in_use if site.pool else None)

    watching = threading.Thread(target=look)

    def view() -> None:
        execute(INSERT)
        watching.start()

    response, took = answer(view)
    watching.join()
    servers.standby.execute("SELECT pg_wal_replay_resume()")
    servers.redis.start()
    assert response.status_code == 201
    assert took > LEASES_END - 0.1
    assert in_use == [0]
    assert_within(min(took for _, took in responses), 1)
    assert_within(took, LEASES_END + 1.5)


def test_without_redis_and_primary_reads_go_on_if_all_other_servers_answer(
    site: DatabaseWrapper, servers: Servers
) -> None:
    open_servers()
    assert status_of_a_get_without_redis_and_primary(servers) == 200


def test_a_machine_that_is_cut_off_with_one_standby_serves_no_reads(
    connect: Callable[..., DatabaseWrapper], servers: Servers
) -> None:
    """Other machines may write, and neither Redis nor this standby can tell it."""
    connect(servers.redis, servers.primary, servers.standby, PostgreSQL())  # does not run
    replicas().open()
    wait_until(lambda: replicas().acknowledged.position()[1], "this process has a lease")
    assert answer(lambda: execute("SELECT 1"), "GET", 200)[0].status_code == 200
    assert status_of_a_get_without_redis_and_primary(servers) == 503


def status_of_a_get_without_redis_and_primary(servers: Servers) -> int:
    servers.redis.kill()
    servers.primary.freeze()
    try:
        wait_until(lambda: replicas().has_no_primary, "the loss is noticed")
        response, _ = answer(lambda: execute("SELECT 1"), "GET", 200)
        assert bool(replicas().monitor.readable) == (response.status_code == 200)  # /readyz
        return response.status_code
    finally:
        servers.primary.thaw()
        servers.redis.start()


def test_a_write_is_answered_as_soon_as_redis_returns(
    site: DatabaseWrapper, servers: Servers
) -> None:
    open_servers()
    servers.standby.execute("SELECT pg_wal_replay_pause()")
    before = written(servers.primary)
    servers.redis.freeze()

    def view() -> None:
        execute(INSERT)
        threading.Timer(0.5, servers.redis.thaw).start()

    response, _ = answer(view)
    assert response.status_code == 201
    wait_until(lambda: recorded() > before, "the position is recorded")


def test_a_command_ends_when_no_read_misses_what_it_has_written(servers: Servers) -> None:
    servers.redis.kill()
    servers.standby.execute("SELECT pg_wal_replay_pause()")
    try:
        assert run_command(servers, "migrate", "sessions", "--fake") < 60
        took = run_command(servers, "migrate", "sessions", "zero", "--fake")
        assert took > LEASES_END
    finally:
        servers.standby.execute("SELECT pg_wal_replay_resume()")
        servers.redis.start()
        run_command(servers, "migrate", "sessions", "--fake")


def open_servers() -> None:
    """As `serve` does at its start; then wait until reads may use standbys."""
    replicas().open()
    wait_until(lambda: replicas().acknowledged.position()[1], "this process has a lease")
    wait_until(
        lambda: all(node.is_well and node.was_asked for node in replicas().nodes), "all are well"
    )
