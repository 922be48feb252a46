"""Two prepared queries in one round trip: the rows, the errors, and the connection after them."""

import random
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from threading import Barrier
from typing import Any

import psycopg
import pytest
from django.db import (
    DataError,
    InternalError,
    NotSupportedError,
    OperationalError,
    connection,
    transaction,
)
from django.test.utils import CaptureQueriesContext
from psycopg.conninfo import conninfo_to_dict

from articles.models import Tag
from database.backend.connection import Connection
from database.prepared import together
from database.settings import DJANGO_NAMES
from tests.builders import make_user
from tests.database.declared import list_tags, names, people_called, texts, user_with_id
from tests.database.pgbouncer import PgBouncer
from tests.database.proxy import Proxy
from tests.database.servers import migrated
from tests.database.test_prepared import (
    LOSE_STATEMENTS,
    another_pool,
    change_type_of_tag_names,
    session,
    statements,
    with_pool,
)
from tests.processes import database_url
from users.models import User

BLOCKED = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND pid = %s"


def pool_of(size: int, **options: Any) -> dict[str, Any]:
    settings = with_pool({"min_size": size, "max_size": size})
    settings["OPTIONS"] |= options
    return settings


@pytest.fixture(params=[True, False], ids=["libpq", "psycopg"])
def alice(transactional_db: None, request: pytest.FixtureRequest) -> Iterator[User]:
    """A user and two tags, and a pool with one connection; with the fast path, and without it."""
    with another_pool(pool_of(1, prepared_fast_path=request.param)):
        Tag.objects.bulk_create(Tag(name=name) for name in ("css", "java"))
        yield make_user("alice")


def both(alice: User, **arguments: Any) -> list[str]:
    """The names of the tags; asserts that the user is found too."""
    tags, users = together(list_tags.call(**arguments), user_with_id.call(pk=alice.pk))
    assert users == [alice]
    return names(tags)


def test_the_rows_are_those_of_two_calls(alice: User) -> None:
    for _ in range(2):
        assert both(alice) == ["css", "java"]
        assert both(alice, name="java") == ["java"]
        assert together(list_tags.call(limit=1), list_tags.call(offset=1)) == (
            list_tags(limit=1),
            list_tags(offset=1),
        )
        assert together(list_tags.call(), list_tags.call()) == (list_tags(), list_tags())
        assert together(people_called.call(username="bob"), list_tags.call(name="no")) == ([], [])


@contextmanager
def pool_at(url: str, **options: Any) -> Iterator[None]:
    """A pool of connections to the database of this URL."""
    address = conninfo_to_dict(url)
    settings = {name: str(address[key]) for name, key in DJANGO_NAMES.items()}
    with another_pool(settings | {"OPTIONS": options}):
        yield


def test_two_calls_are_one_round_trip(transactional_db: None) -> None:
    with migrated() as server, Proxy(server.host, server.port) as proxy:
        url = server.url().replace(f":{server.port}/", f":{proxy.port}/")
        with pool_at(url, pool={"min_size": 1, "max_size": 1}):
            user = make_user("alice")
            list_tags()
            user_with_id(pk=user.pk)
            before = proxy.messages
            together(list_tags.call(), user_with_id.call(pk=user.pk))
            assert proxy.messages == before + 1
            list_tags()
            user_with_id(pk=user.pk)
            assert proxy.messages == before + 3


def test_the_tools_of_django_see_both_statements(alice: User) -> None:
    seen: list[str] = []

    def record(execute: Any, text: str, values: Any, many: bool, context: Any) -> Any:
        seen.append(text)
        return execute(text, values, many, context)

    expected = [texts(list_tags)["name"], texts(user_with_id)["pk"]]
    with connection.execute_wrapper(record), CaptureQueriesContext(connection) as captured:
        both(alice, name="css")

    assert seen == expected
    assert [text in query["sql"] for text, query in zip(expected, captured, strict=True)] == [
        True,
        True,
    ]


def test_a_wrapper_may_change_the_statements(alice: User) -> None:
    def comment(execute: Any, text: str, values: Any, many: bool, context: Any) -> Any:
        return execute(f"{text} -- page", values, many, context)

    with connection.execute_wrapper(comment):
        assert both(alice) == ["css", "java"]
    assert both(alice) == ["css", "java"]


def test_the_statements_run_in_the_current_transaction(alice: User) -> None:
    with transaction.atomic():
        Tag.objects.create(name="zig")
        assert both(alice) == ["css", "java", "zig"]
        transaction.set_rollback(True)
    assert both(alice) == ["css", "java"]


def test_without_autocommit_the_statements_begin_a_transaction(alice: User) -> None:
    transaction.set_autocommit(False)
    try:
        assert both(alice) == ["css", "java"]
        assert session().info.transaction_status == psycopg.pq.TransactionStatus.INTRANS
        transaction.rollback()
    finally:
        transaction.set_autocommit(True)


def test_the_first_error_is_raised_and_the_connection_still_works(alice: User) -> None:
    physical = session()
    find = user_with_id.call(pk=alice.pk)
    negative, with_nul = list_tags.call(limit=-1), people_called.call(username="nul\0")
    pairs: list[tuple[Any, Any, str]] = [
        (negative, find, "LIMIT must not be negative"),
        (find, negative, "LIMIT must not be negative"),
        (negative, list_tags.call(offset=-1), "LIMIT must not be negative"),
        (find, with_nul, "NUL"),
        (with_nul, find, "NUL"),
    ]
    for first, second, message in pairs:
        with pytest.raises(DataError, match=message):
            together(first, second)
        assert both(alice) == ["css", "java"]
    with pytest.raises(OverflowError):
        together(find, user_with_id.call(pk=2**64))

    assert both(alice) == ["css", "java"]
    assert session() is physical


def test_an_error_ends_the_transaction_like_that_of_one_statement(alice: User) -> None:
    negative, find = list_tags.call(limit=-1), user_with_id.call(pk=alice.pk)
    orders: list[tuple[Any, Any]] = [(negative, find), (find, negative)]
    for first, second in orders:
        with transaction.atomic():
            with pytest.raises(DataError), transaction.atomic():
                together(first, second)
            assert both(alice) == ["css", "java"]
        with transaction.atomic():
            with pytest.raises(DataError):
                together(first, second)
            connection.needs_rollback = False
            with pytest.raises(InternalError, match="current transaction is aborted"):
                both(alice)
            transaction.set_rollback(True)
    assert both(alice) == ["css", "java"]


@pytest.fixture
def altered(alice: User) -> Iterator[None]:
    """A table has changed after a statement on it was prepared."""
    both(alice)
    together(user_with_id.call(pk=1), list_tags.call())
    change_type_of_tag_names("text")
    yield
    connection.close()
    change_type_of_tag_names("varchar(64)")


def test_a_first_statement_on_a_changed_table_is_prepared_again(alice: User, altered: None) -> None:
    assert both(alice) == ["css", "java"]
    assert both(alice) == ["css", "java"]
    assert len(statements()) == 2


def test_a_second_statement_on_a_changed_table_is_prepared_again(
    alice: User, altered: None
) -> None:
    for _ in range(2):
        users, tags = together(user_with_id.call(pk=alice.pk), list_tags.call())
        assert (users, names(tags)) == ([alice], ["css", "java"])
    assert len(statements()) == 2


def test_a_changed_table_is_one_error_in_a_transaction(alice: User, altered: None) -> None:
    with pytest.raises(NotSupportedError, match="cached plan"), transaction.atomic():
        both(alice)
    with transaction.atomic():
        assert both(alice) == ["css", "java"]


def test_lost_statements_are_prepared_again(alice: User) -> None:
    both(alice)
    with connection.cursor() as cursor:
        cursor.execute(LOSE_STATEMENTS)
    assert both(alice) == ["css", "java"]
    assert len(statements()) == 2


@pytest.mark.parametrize("prepared_max", [1, 2])
def test_the_smallest_limits_of_statements_work(alice: User, prepared_max: int) -> None:
    with another_pool(pool_of(1, prepared_max=prepared_max)):
        for name in ("css", "java") * 2:
            assert both(alice, name=name) == [name]
            assert len(statements()) == prepared_max
            assert both(alice) == ["css", "java"]


def test_values_may_be_larger_than_the_buffers_of_the_sockets(alice: User) -> None:
    large = "x" * 20_000_000
    calls = people_called.call(username=large), list_tags.call(name=large)
    assert together(*calls) == ([], [])
    assert both(alice) == ["css", "java"]


def test_a_connection_that_was_closed_by_the_server_is_an_error(alice: User) -> None:
    both(alice)
    with psycopg.connect(database_url(), autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [session().info.backend_pid])
    with pytest.raises(OperationalError):
        both(alice)
    assert session().closed
    connection.close()

    assert both(alice) == ["css", "java"]


@pytest.fixture
def locked(alice: User) -> Iterator[psycopg.Connection]:
    """Another session with a lock on the table of the tags."""
    both(alice)
    with psycopg.connect(database_url()) as other:
        other.execute("LOCK TABLE articles_tag")
        yield other


def while_blocked(
    lock: psycopg.Connection, call: Callable[[], Any], act: Callable[[Connection], Any]
) -> Future[Any]:
    """Run `call` in a thread, and `act` when it waits for the lock."""

    def run() -> Any:
        try:
            sessions.append(session())
            started.wait(10)
            return call()
        finally:
            connection.close()

    connection.close()
    sessions: list[Connection] = []
    started = Barrier(2)
    with ThreadPoolExecutor(1) as threads, psycopg.connect(database_url(), autocommit=True) as own:
        result = threads.submit(run)
        started.wait(10)
        pid = sessions[0].info.backend_pid
        while own.execute(BLOCKED, [pid]).fetchone() != (1,):
            assert not result.done(), result.result()
        act(sessions[0])
        result.exception(10)
    return result


@pytest.mark.parametrize("order", [1, -1], ids=["first", "second"])
def test_other_threads_run_while_one_waits(
    alice: User, locked: psycopg.Connection, order: int
) -> None:
    calls: list[Any] = [list_tags.call(), user_with_id.call(pk=alice.pk)][::order]

    result = while_blocked(locked, lambda: together(*calls), lambda _: locked.rollback())

    assert [*result.result()] == [list_tags(), [alice]][::order]


@pytest.mark.parametrize("order", [1, -1], ids=["first", "second"])
def test_a_cut_connection_is_an_error_at_once(
    alice: User, locked: psycopg.Connection, order: int
) -> None:
    calls: list[Any] = [list_tags.call(), user_with_id.call(pk=alice.pk)][::order]

    result = while_blocked(locked, lambda: together(*calls), lambda waiting: waiting.cut())

    assert isinstance(result.exception(), OperationalError)
    locked.rollback()
    assert both(alice) == ["css", "java"]


def test_a_connection_that_is_terminated_meanwhile_is_an_error(
    alice: User, locked: psycopg.Connection
) -> None:
    def terminate(waiting: Connection) -> None:
        locked.execute("SELECT pg_terminate_backend(%s)", [waiting.info.backend_pid])

    result = while_blocked(locked, lambda: both(alice), terminate)

    assert isinstance(result.exception(), OperationalError)
    locked.rollback()
    assert both(alice) == ["css", "java"]


@pytest.mark.parametrize("order", [1, -1], ids=["first", "second"])
def test_the_statement_timeout_cancels_one_statement(
    alice: User, locked: psycopg.Connection, order: int
) -> None:
    calls: list[Any] = [list_tags.call(), user_with_id.call(pk=alice.pk)][::order]
    physical = session()
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 100")

    with pytest.raises(OperationalError, match="canceling statement due to statement timeout"):
        together(*calls)

    locked.rollback()
    assert both(alice) == ["css", "java"]
    assert session() is physical


def test_an_exception_in_python_closes_the_connection(
    alice: User, locked: psycopg.Connection
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(KeyboardInterrupt):
            both(alice)
    finally:
        signal.signal(signal.SIGALRM, before)
    connection.close()
    locked.rollback()

    assert both(alice) == ["css", "java"]


def test_a_slow_round_trip_is_logged_for_its_first_statement(
    alice: User,
    locked: psycopg.Connection,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 300")
    limits = replace(connection.connection.limits, slow_query=0.2)
    monkeypatch.setattr(connection.connection, "limits", limits)
    caplog.clear()
    with pytest.raises(OperationalError):
        both(alice)
    locked.rollback()

    logged = [each.getMessage() for each in caplog.records if each.name == "database.statements"]
    assert len(logged) == 1
    assert texts(list_tags)[""].split()[1] in logged[0]


def test_threads_get_their_own_rows(alice: User) -> None:
    threads, calls = 8, 40
    at_once = Barrier(threads)
    expected = {"css": ["css"], "java": ["java"], "cobol": []}

    def call(seed: int) -> None:
        chance = random.Random(seed)  # noqa: S311 -- no secret
        at_once.wait(10)
        for name in chance.choices([*expected], k=calls):
            assert both(alice, name=name) == expected[name]
            connection.close()

    with another_pool(pool_of(2)), ThreadPoolExecutor(threads) as executor:
        assert [*executor.map(call, range(threads))] == [None] * threads


def test_two_databases_are_refused() -> None:
    call = list_tags.call()
    with pytest.raises(ValueError, match="two databases: default and archive"):
        together(call, call._replace(using="archive"))


@pytest.mark.faults
def test_behind_pgbouncer_each_statement_has_a_round_trip(transactional_db: None) -> None:
    def call(_: int) -> tuple[list[str], list[User]]:
        try:
            tags, users = together(list_tags.call(limit=1), user_with_id.call(pk=0))
            return names(tags), users
        finally:
            connection.close()

    with migrated(log_statement="all") as server, PgBouncer(server, default_pool_size=2) as between:
        server.execute("INSERT INTO articles_tag (name) VALUES ('css'), ('java')")
        pool = {"min_size": 1, "max_size": 8}
        with (
            pool_at(between.url(), pgbouncer=True, pool=pool),
            ThreadPoolExecutor(8) as threads,
        ):
            found = [*threads.map(call, range(40))]
        log = server.log.read_text()

    assert found == [(["css"], [])] * 40
    assert log.count("execute <unnamed>: SELECT") == 80
