"""What PostgreSQL plans for the declared queries."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg
from django.db import connection
from psycopg import sql

from database.prepared import Compiled, Prepared, Shape
from tests.database.servers import PostgreSQL

MODES = ["force_generic_plan", "force_custom_plan"]
# Values that exist in the content of these tests.
VALUES: dict[str, Any] = {
    "tag": "tag1",
    "author": "user1",
    "favorited_by": "user20",
    "feed_of": 22,
    "viewer": 22,
    "limit": 30,
    "offset": 40,
    "pk": 7,
    "slug": "slug-7",
    "any_slug": "old-slug-7",
    "username": "user1",
    "text": "title",
    "session_key": "nobody",
    "now": datetime(2001, 2, 3, tzinfo=UTC),
    "created_at": datetime(2001, 2, 6, tzinfo=UTC),
    "article_id": 8640,
}


@contextmanager
def session_of(server: PostgreSQL, **params: Any) -> Iterator[psycopg.Connection]:
    """A session of a superuser with the startup options of production, and with autocommit."""
    options = connection.settings_dict["OPTIONS"]["options"]
    with psycopg.connect(server.url(), options=options, autocommit=True, **params) as session:
        yield session


def modes_of(query: Prepared[..., Any], shape: Shape) -> list[str]:
    """A query with LIMIT and OFFSET is tested only with custom plans.

    PostgreSQL cannot estimate the cost of a generic plan without these values, and uses a custom
    plan in production.
    """
    sliced = {"limit", "offset"} & {*query.compiled(shape).parameters}
    return MODES[1:] if sliced else MODES


@contextmanager
def prepared(
    session: psycopg.Connection, compiled: Compiled, values: Mapping[str, Any], name: str = "query"
) -> Iterator[sql.Composed]:
    """A prepared statement: the command that executes it with these values."""
    session.execute(f"PREPARE {name} AS {compiled.text}".encode())
    try:
        arguments = sql.SQL(", ").join([sql.Literal(values[name]) for name in compiled.parameters])
        with_values = "EXECUTE {} ({})" if compiled.parameters else "EXECUTE {}"
        yield sql.SQL(with_values).format(sql.Identifier(name), arguments)
    finally:
        session.execute(f"DEALLOCATE {name}".encode())


def explain(
    session: psycopg.Connection, execute: sql.Composed, *, analyze: bool = False
) -> dict[str, Any]:
    """The plan of a prepared statement. `analyze` executes it, and adds the numbers of rows."""
    options = "ANALYZE, TIMING OFF, FORMAT JSON" if analyze else "FORMAT JSON"
    row = session.execute(sql.SQL(f"EXPLAIN ({options}) ") + execute).fetchone()
    assert row
    plan: dict[str, Any] = row[0][0]["Plan"]
    return plan


def plan_of(
    session: psycopg.Connection,
    query: Prepared[..., Any],
    shape: Shape,
    mode: str,
    values: Mapping[str, Any],
    *,
    analyze: bool = False,
) -> dict[str, Any]:
    """The plan of the query with these values. `mode` is one of `MODES`."""
    session.execute(f"SET plan_cache_mode = {mode}".encode())
    with prepared(session, query.compiled(shape), values) as execute:
        return explain(session, execute, analyze=analyze)
