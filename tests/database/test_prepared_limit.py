"""A connection keeps a bounded number of prepared statements, the most recently used ones."""

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from threading import Barrier
from typing import Any

import psycopg
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import (
    DataError,
    InternalError,
    OperationalError,
    ProgrammingError,
    connection,
    transaction,
)

from articles.models import Tag
from database.backend import database_wrapper
from tests.database.declared import list_tags, names, texts, user_with_id
from tests.database.test_prepared import (
    LOSE_STATEMENTS,
    another_pool,
    execute_in_other_session,
    session,
    statements,
    with_pool,
)
from tests.processes import database_url

# One call for each of its shapes, with the names that it finds.
CALLS: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ["css", "java", "zig"]),
    ({"limit": 2}, ["css", "java"]),
    ({"limit": 1}, ["css"]),
    ({"offset": 1}, ["java", "zig"]),
    ({"limit": 1, "offset": 1}, ["java"]),
    ({"limit": 2, "offset": 1}, ["java", "zig"]),
    ({"name": "zig"}, ["zig"]),
    ({"name": "zig", "limit": 1}, ["zig"]),
    ({"name": "zig", "limit": 2, "offset": 1}, []),
]
Limited = Callable[..., AbstractContextManager[None]]


@pytest.fixture(params=[True, False], ids=["libpq", "psycopg"])
def limited(transactional_db: None, request: pytest.FixtureRequest) -> Limited:
    """`limited(3)` is a pool whose connections keep 3 prepared statements; with the fast path, and
    without it."""
    Tag.objects.bulk_create(Tag(name=name) for name in ("css", "java", "zig"))

    def pool(prepared_max: int, *, size: int = 1) -> AbstractContextManager[None]:
        settings = with_pool({"min_size": size, "max_size": size})
        settings["OPTIONS"] |= {"prepared_fast_path": request.param, "prepared_max": prepared_max}
        return another_pool(settings)

    return pool


@pytest.fixture
def one(transactional_db: None) -> Iterator[None]:
    """A pool with one connection, which keeps one prepared statement."""
    Tag.objects.bulk_create(Tag(name=name) for name in ("css", "java", "zig"))
    settings = with_pool({"min_size": 1, "max_size": 1})
    settings["OPTIONS"] |= {"prepared_max": 1}
    with another_pool(settings):
        yield


@pytest.mark.parametrize("prepared_max", [1, 2, 5, 50])
def test_there_are_never_more_statements_than_the_limit(
    limited: Limited, prepared_max: int
) -> None:
    chance = random.Random(prepared_max)  # noqa: S311 -- no secret
    with limited(prepared_max):
        counts = []
        for arguments, expected in [*CALLS, *chance.choices(CALLS, k=60)]:
            assert names(list_tags(**arguments)) == expected
            counts.append(len(statements()))

    assert max(counts) == min(prepared_max, len(CALLS))


def test_the_least_recently_used_statement_is_deallocated(limited: Limited) -> None:
    text = texts(list_tags)
    with limited(2):
        list_tags()
        list_tags(name="css")
        list_tags()
        list_tags(offset=1)
        assert {*statements()} == {text[""], text["offset"]}

        list_tags(name="css")
        assert {*statements()} == {text["offset"], text["name"]}


def test_a_statement_that_stays_is_not_prepared_again(limited: Limited) -> None:
    with limited(2), connection.cursor() as cursor:
        list_tags()
        cursor.execute("SELECT prepare_time FROM pg_prepared_statements")
        first = cursor.fetchone()
        for arguments, _ in CALLS:
            list_tags(**arguments)
            list_tags()
        cursor.execute(
            "SELECT prepare_time FROM pg_prepared_statements ORDER BY prepare_time LIMIT 1"
        )

        assert cursor.fetchone() == first


def test_threads_get_the_right_rows_while_statements_are_deallocated(limited: Limited) -> None:
    threads, calls = 8, 40
    together = Barrier(threads)

    def call(seed: int) -> list[tuple[list[str], list[str]]]:
        chance = random.Random(seed)  # noqa: S311 -- no secret
        together.wait(10)
        found = []
        for arguments, expected in chance.choices(CALLS, k=calls):
            found.append((names(list_tags(**arguments)), expected))
            connection.close()
        return found

    with limited(3, size=2), ThreadPoolExecutor(threads) as executor:
        results = [result for found in executor.map(call, range(threads)) for result in found]

    assert len(results) == threads * calls
    assert all(found == expected for found, expected in results)


def test_a_transaction_that_failed_deallocates_nothing(one: None) -> None:
    list_tags()
    with transaction.atomic():
        with pytest.raises(DataError):
            list_tags(limit=-1)
        # Django itself would refuse it.
        connection.needs_rollback = False
        with pytest.raises(InternalError, match="current transaction is aborted"):
            user_with_id(pk=1)
        transaction.set_rollback(True)

    assert statements() == [texts(list_tags)["limit"]]
    assert user_with_id(pk=1) == []
    assert statements() == [texts(user_with_id)["pk"]]


def test_statements_are_exchanged_in_a_transaction(limited: Limited) -> None:
    with limited(1), transaction.atomic():
        for arguments, expected in CALLS * 2:
            assert names(list_tags(**arguments)) == expected
            assert len(statements()) == 1


def test_a_statement_that_the_server_lost_need_not_be_deallocated(one: None) -> None:
    list_tags()
    with connection.cursor() as cursor:
        cursor.execute(LOSE_STATEMENTS)

    assert names(list_tags(offset=1)) == ["java", "zig"]
    assert statements() == [texts(list_tags)["offset"]]

    with connection.cursor() as cursor:
        cursor.execute(LOSE_STATEMENTS)
    with pytest.raises(ProgrammingError, match="does not exist"), transaction.atomic():
        list_tags()
    assert names(list_tags()) == ["css", "java", "zig"]


def test_a_statement_that_cannot_be_prepared_takes_no_name(one: None) -> None:
    list_tags()
    execute_in_other_session("ALTER TABLE users_user RENAME bio TO about")
    try:
        for _ in range(2):
            with pytest.raises(ProgrammingError, match=r"users_user\.bio does not exist"):
                user_with_id(pk=1)
    finally:
        execute_in_other_session("ALTER TABLE users_user RENAME about TO bio")

    assert statements() == []
    assert user_with_id(pk=1) == []
    assert names(list_tags()) == ["css", "java", "zig"]


def test_a_connection_that_breaks_at_a_deallocation_is_replaced(one: None) -> None:
    list_tags()
    with psycopg.connect(database_url(), autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [session().info.backend_pid])
    with pytest.raises(OperationalError):
        list_tags(offset=1)
    connection.close()

    assert names(list_tags(offset=1)) == ["java", "zig"]


@pytest.mark.parametrize("pool", [None, {"min_size": 1, "max_size": 1}], ids=["direct", "pool"])
def test_without_an_option_the_limit_is_50(
    transactional_db: None, pool: dict[str, int] | None
) -> None:
    settings = with_pool(pool)
    settings["OPTIONS"].pop("prepared_max")
    with another_pool(settings):
        assert session().prepared_max == 50


@pytest.mark.parametrize("value", [0, -1, "many", 1.5, None, True])
def test_a_wrong_limit_is_one_sentence(value: object) -> None:
    wrapper = database_wrapper().copy()
    wrapper.settings_dict = wrapper.settings_dict | {
        "OPTIONS": wrapper.settings_dict["OPTIONS"] | {"prepared_max": value}
    }
    sentence = r"^DATABASES\['default'\]\['OPTIONS'\]\['prepared_max'\] must be a whole number"
    with pytest.raises(ImproperlyConfigured, match=sentence):
        wrapper.get_connection_params()
