"""How PostgreSQL executes declared queries, and how they recover from schema changes."""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from time import monotonic
from typing import Any

import psycopg
import pytest
from django.db import DataError, NotSupportedError, ProgrammingError, connection, transaction
from django.test.utils import CaptureQueriesContext
from psycopg.conninfo import conninfo_to_dict

from articles.models import Tag
from config.settings import BASE_DIR
from database.backend import database_wrapper
from database.backend.base import DatabaseWrapper
from database.backend.connection import Connection
from database.backend.prepared_cursor import FastPreparedCursor
from database.settings.url import DJANGO_NAMES
from tests.database.declared import (
    TagRow,
    list_tags,
    names,
    texts,
    user_with_id,
)
from tests.database.pgbouncer import PgBouncer
from tests.database.servers import migrated
from tests.processes import database_url
from users.models import User

# psycopg notices a plain DEALLOCATE ALL.
LOSE_STATEMENTS = "DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$"


def session() -> Connection:
    """The psycopg connection of the test's thread."""
    connection.ensure_connection()
    found: Connection = connection.connection
    return found


def test_a_call_returns_the_rows_of_the_queryset(tags: None) -> None:
    assert names(list_tags()) == ["css", "java", "python", "rust"]
    assert names(list_tags(limit=2, offset=1)) == ["java", "python"]
    assert names(list_tags(limit=1, offset=3)) == ["rust"]
    assert names(list_tags(name="python", limit=2)) == ["python"]
    assert list_tags(name="cobol") == []
    assert list_tags(limit=0) == list(list_tags.queryset(limit=0)) == []
    assert list_tags(offset=2) == list(list_tags.queryset(offset=2))
    assert isinstance(list_tags()[0], TagRow)


def test_a_negative_slice_is_refused_by_the_server(tags: None) -> None:
    with pytest.raises(DataError, match="LIMIT must not be negative"), transaction.atomic():
        list_tags(limit=-1)


def test_the_fast_path_raises_the_errors_of_psycopgs_cursor(
    tags: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def error_of(**arguments: Any) -> tuple[type[Exception], str]:
        with pytest.raises((DataError, UnicodeError)) as raised, transaction.atomic():
            list_tags(**arguments)
        return raised.type, str(raised.value)

    def errors() -> list[tuple[type[Exception], str]]:
        return [error_of(limit=-1), error_of(name="nul\0"), error_of(name="\ud800")]

    fast = errors()
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "prepared_fast_path", False)
    monkeypatch.setattr(session(), "prepare_threshold", sys.maxsize)

    assert errors() == fast


def test_a_row_that_is_a_model_is_like_a_loaded_instance(alice: User) -> None:
    (found,) = user_with_id(pk=alice.pk)

    assert found == alice
    assert found.__dict__.keys() == alice.__dict__.keys()
    assert found.created_at == alice.created_at
    assert (found._state.db, found._state.adding) == ("default", False)
    assert not found.get_deferred_fields()
    found.bio = "Changed"
    found.save()
    assert User.objects.get().bio == "Changed"


def test_only_prepared_queries_use_the_prepared_cursor(tags: None) -> None:
    used: list[Any] = []

    def record_cursor(execute: Any, text: Any, values: Any, many: bool, context: Any) -> Any:
        used.append(type(context["cursor"].cursor))
        return execute(text, values, many, context)

    with connection.execute_wrapper(record_cursor):
        list_tags()
        Tag.objects.count()
        with pytest.raises(DataError), transaction.atomic():
            list_tags(limit=-1)
        Tag.objects.count()

    assert [cursor for cursor in used if cursor is FastPreparedCursor] == [FastPreparedCursor] * 2
    assert [used.index(FastPreparedCursor), used[1] is FastPreparedCursor] == [0, False]
    assert used[-1] is not FastPreparedCursor
    assert session().prepare_threshold is None


def test_the_test_tools_of_django_see_every_statement(
    tags: None, django_assert_num_queries: Callable[..., Any]
) -> None:
    list_tags()
    with django_assert_num_queries(1):
        list_tags()
    with CaptureQueriesContext(connection) as captured:
        list_tags(name="50%")

    (statement,) = captured
    assert texts(list_tags)["name"] in statement["sql"]
    assert "50%" in statement["sql"]


@pytest.mark.django_db(transaction=True)
def test_statements_that_psycopg_prepares_itself_take_none_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After a rollback psycopg deallocates all statements of the session."""
    list_tags()
    monkeypatch.setattr(session(), "prepare_threshold", 0)
    psycopg.Cursor(session()).execute("SELECT 1")
    with transaction.atomic():
        list_tags()
        transaction.set_rollback(True)

    with transaction.atomic():
        list_tags()
    # Not back to the pool: after each rollback of a later test, psycopg would do it again.
    session().close()
    connection.close()


def test_a_call_runs_in_the_current_transaction(tags: None) -> None:
    with transaction.atomic():
        Tag.objects.create(name="zig")
        assert "zig" in names(list_tags())
        transaction.set_rollback(True)
    assert "zig" not in names(list_tags())


def statements() -> list[str]:
    """The statements that this session has prepared, read with an ordinary cursor."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements ORDER BY prepare_time, name")
        return [text for (text,) in cursor.fetchall()]


@contextmanager
def another_pool(settings: dict[str, Any]) -> Iterator[None]:
    """Use a new pool, whose connections have no prepared statements."""
    wrapper = database_wrapper()
    wrapper.close()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setitem(wrapper.settings_dict, name, value)
        patch.setattr(DatabaseWrapper, "_connection_pools", {})
        yield
        wrapper.close()
        wrapper.close_pool()


def with_pool(pool: dict[str, int] | None) -> dict[str, Any]:
    return {"OPTIONS": connection.settings_dict["OPTIONS"] | {"pool": pool}}


@pytest.fixture(params=[True, False], ids=["libpq", "psycopg"])
def fresh(transactional_db: None, request: pytest.FixtureRequest) -> Iterator[None]:
    """A pool with one connection, which has no prepared statements; with the fast path for prepared
    queries, and without it."""
    settings = with_pool({"min_size": 1, "max_size": 1})
    settings["OPTIONS"] |= {"prepared_fast_path": request.param}
    with another_pool(settings):
        Tag.objects.bulk_create(Tag(name=name) for name in ("css", "java"))
        yield


def test_each_shape_is_one_statement_for_all_values(fresh: None) -> None:
    for number in (1, 70_000, 5_000_000_000):
        user_with_id(pk=number)
        list_tags(limit=number)
        list_tags(name="x" * (number % 50), offset=number)
    Tag.objects.filter(name="css").count()

    assert statements() == [
        user_with_id.compiled(user_with_id.shape_of({"pk": 1})).text,
        list_tags.compiled(list_tags.shape_of({"limit": 1})).text,
        list_tags.compiled(list_tags.shape_of({"name": "", "offset": 1})).text,
    ]


def test_prepared_statements_survive_the_pool_and_a_reset(fresh: None) -> None:
    list_tags()
    before, physical = statements(), session()
    connection.close()
    assert (session(), statements()) == (physical, before)

    with connection.cursor() as cursor:
        cursor.execute("SET work_mem = '1MB'")
    connection.close()

    assert (session(), statements()) == (physical, before)
    assert names(list_tags()) == ["css", "java"]


def test_a_rolled_back_savepoint_keeps_prepared_statements(fresh: None) -> None:
    list_tags()
    before = statements()
    with transaction.atomic():
        with pytest.raises(DataError), transaction.atomic():
            list_tags(limit=-1)
        list_tags()

    assert statements()[:1] == before


def execute_in_other_session(statement: str) -> None:
    """Execute the statement in another session, with autocommit."""
    with psycopg.connect(database_url(), autocommit=True) as other:
        other.execute(statement.encode())


def change_type_of_tag_names(kind: str) -> None:
    """In another session. PostgreSQL refuses it while a view has the column."""
    view = (BASE_DIR / "articles/migrations/sql/used_tags.sql").read_text()
    alter = f"ALTER TABLE articles_tag ALTER name TYPE {kind}"
    execute_in_other_session(f"DROP VIEW articles_usedtag; {alter}; {view}")


@pytest.fixture
def altered(fresh: None) -> Iterator[None]:
    """A table has changed after a statement on it was prepared."""
    list_tags()
    change_type_of_tag_names("text")
    yield
    connection.close()
    change_type_of_tag_names("varchar(64)")


def test_a_statement_on_a_changed_table_is_prepared_again(altered: None) -> None:
    assert names(list_tags()) == ["css", "java"]
    assert len(statements()) == 1
    assert names(list_tags()) == ["css", "java"]


def test_a_changed_table_is_one_error_in_a_transaction(altered: None) -> None:
    with pytest.raises(NotSupportedError, match="cached plan"), transaction.atomic():
        list_tags()
    with transaction.atomic():
        assert names(list_tags()) == ["css", "java"]


def test_a_statement_is_prepared_again_after_a_rollback_to_a_savepoint(altered: None) -> None:
    with transaction.atomic():
        with pytest.raises(NotSupportedError, match="cached plan"), transaction.atomic():
            list_tags()
        assert names(list_tags()) == ["css", "java"]


def test_repeated_changes_of_a_table_are_noticed(altered: None) -> None:
    with pytest.raises(NotSupportedError, match="cached plan"), transaction.atomic():
        list_tags()
    assert names(list_tags()) == ["css", "java"]
    for kind in ("varchar(64)", "text"):
        change_type_of_tag_names(kind)
        assert names(list_tags()) == ["css", "java"]
        assert names(list_tags()) == ["css", "java"]
    assert len(statements()) == 1


def test_deallocated_statements_are_prepared_again(fresh: None) -> None:
    list_tags()
    with connection.cursor() as cursor:
        cursor.execute(LOSE_STATEMENTS)

    assert names(list_tags()) == ["css", "java"]
    with connection.cursor() as cursor:
        cursor.execute(LOSE_STATEMENTS)
    with pytest.raises(ProgrammingError, match="does not exist"), transaction.atomic():
        list_tags()
    assert names(list_tags()) == ["css", "java"]


def test_an_error_of_the_statement_itself_is_raised(fresh: None) -> None:
    execute_in_other_session("ALTER TABLE articles_tag RENAME name TO label")
    try:
        with pytest.raises(ProgrammingError, match=r"articles_tag\.name does not exist"):
            list_tags()
    finally:
        execute_in_other_session("ALTER TABLE articles_tag RENAME label TO name")
    assert names(list_tags()) == ["css", "java"]


def test_a_connection_replaced_by_its_health_check_prepares_statements(
    transactional_db: None,
) -> None:
    persistent = {"CONN_MAX_AGE": None}
    with another_pool(with_pool(None) | persistent):
        first = session()
        connection.close_if_unusable_or_obsolete()  # as Django does at the start of a request
        with psycopg.connect(database_url(), autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", [first.info.backend_pid])

        assert list_tags() == []
        assert session() is not first
        assert statements() == [texts(list_tags)[""]]


@pytest.mark.faults
def test_behind_pgbouncer_no_statement_is_prepared(transactional_db: None) -> None:
    calls = 40

    def call(number: int) -> list[str]:
        try:
            return names(list_tags(limit=number % 2 + 1))
        finally:
            connection.close()

    with migrated(log_statement="all") as server, PgBouncer(server, default_pool_size=2) as between:
        server.execute("INSERT INTO articles_tag (name) VALUES ('css'), ('java')")
        address = conninfo_to_dict(between.url())
        settings = {
            **{name: str(address[key]) for name, key in DJANGO_NAMES.items()},
            "OPTIONS": {"pgbouncer": True, "pool": {"min_size": 1, "max_size": 8}},
        }
        with another_pool(settings), ThreadPoolExecutor(8) as threads:
            found = [*threads.map(call, range(calls))]
        log = server.log.read_text()

    assert found == [["css"], ["css", "java"]] * (calls // 2)
    assert log.count("execute <unnamed>: SELECT") == calls
    assert "execute _pg" not in log


def test_a_statement_is_planned_again_after_a_minute_for_tables_that_have_grown(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def plan() -> str:
        (name,) = session().statement_names.values()
        rows = session().execute(f"EXPLAIN EXECUTE {name.decode()} (1)".encode()).fetchall()
        return "\n".join(line for (line,) in rows)

    session().outdated = True
    # Deleted rows of other tests are still in the file of the table.
    session().execute("TRUNCATE users_user CASCADE")
    session().execute("ANALYZE users_user")
    session().execute("SET LOCAL session_replication_role = replica")  # this discards plans too
    session().execute("SET LOCAL plan_cache_mode = force_generic_plan")
    user_with_id(pk=1)
    session().execute(
        "INSERT INTO users_user (id, password, is_superuser, email, email_folded, username,"
        " username_folded, is_active, is_staff, created_at)"
        " SELECT n, '', false, n, n, n, n, true, false, now() FROM generate_series(1, 5000) AS n"
    )
    user_with_id(pk=1)
    assert "Seq Scan" in plan()

    monkeypatch.setattr(session(), "plans_until", monotonic())
    user_with_id(pk=1)

    assert "Index Scan using users_user_pkey" in plan()
    assert session().plans_until > monotonic() + 50
