"""Checks every declared query against the schema of its database, before the first call.

Each shape is compiled, and PostgreSQL prepares it and describes its columns. Nothing is executed,
and no statement is kept. It takes 4 ms a shape, nearly all of it in Django. So shapes that differ
only by a literal in a slice are checked once.
"""

import types
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from time import monotonic
from typing import Any, LiteralString, NamedTuple, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import psycopg
from django.db import connections
from django.db.models import Model
from django.utils.module_loading import autodiscover_modules
from psycopg import pq
from psycopg.errors import error_from_result

from database.backend import Connection, database_wrappers
from database.prepared.compiling import CompileError
from database.prepared.declaring import Prepared, Shape, declared_queries
from database.prepared.slicing import Slice

# The PostgreSQL types that psycopg converts to each Python type, with the adapters of Django.
COLUMN_TYPES = {
    UUID: ["uuid"],
    Decimal: ["numeric"],
    bool: ["boolean"],
    bytes: ["bytea"],
    date: ["date"],
    datetime: ["timestamptz"],
    float: ["float4", "float8"],
    int: ["int2", "int4", "int8"],
    str: ["text", "varchar", "bpchar"],
}


class RowField(NamedTuple):
    name: str
    type_name: str
    column_types: list[str]
    """The column types that the field can have."""


class BoundedSession:
    """A connection whose statements may take `seconds` together."""

    def __init__(self, connection: Connection, seconds: float) -> None:
        self.connection = connection
        self._seconds_left = seconds

    def fetchall(self, query: LiteralString, *parameters: object) -> list[tuple[Any, ...]]:
        with self._bounded():
            return self.connection.execute(query, parameters).fetchall()

    def describe(self, text: str) -> list[int]:
        """The OIDs of the column types of a statement. Raises psycopg.Error."""
        pgconn = self.connection.pgconn
        # Outside of a transaction, PgBouncer may send the two messages to two servers.
        with self._bounded(), self.connection.transaction(force_rollback=True):
            for result in (pgconn.prepare(b"", text.encode()), pgconn.describe_prepared(b"")):
                if pgconn.status != pq.ConnStatus.OK:
                    raise psycopg.OperationalError(result.get_error_message())
                if result.status != pq.ExecStatus.COMMAND_OK:
                    raise error_from_result(result)
        return [result.ftype(column) for column in range(result.nfields)]

    @contextmanager
    def _bounded(self) -> Iterator[None]:
        started = monotonic()
        with self.connection.bounded(max(1, self._seconds_left)):
            yield
        # Without the time between the statements, in which Django compiles the queries.
        self._seconds_left -= monotonic() - started


def queries_of(using: str) -> list[Prepared[..., Any]]:
    """The queries that are declared for a database, in all modules `queries` of the apps."""
    autodiscover_modules("queries")
    return [query for query in declared_queries if query.using == using]


def queries_of_other_engines() -> Iterator[str]:
    """A sentence for each query that cannot run, because its database has another ENGINE."""
    autodiscover_modules("queries")
    usable = database_wrappers()
    for query in declared_queries:
        if query.using not in usable:
            yield (
                f"{query.name}: DATABASES has no {query.using!r} with the ENGINE 'database.backend'"
            )


def mismatches(connection: Connection, seconds: float, using: str) -> Iterator[str]:
    """A sentence for each problem of a query that is declared for the database `using`.

    `connection` is a connection to this database, in no transaction. If the answers of PostgreSQL
    take more than `seconds` together, it is cut, and psycopg.OperationalError is raised; each
    statement has at least one second.
    """
    session = BoundedSession(connection, seconds)
    valid = dict(
        session.fetchall(
            "SELECT relname, indisvalid FROM pg_index JOIN pg_class ON oid = indexrelid"
            " WHERE pg_table_is_visible(oid)"
        )
    )
    for query in queries_of(using):
        for name in query.indexes:
            if not valid.get(name):
                state = "is not valid, and needs a REINDEX" if name in valid else "does not exist"
                yield f"{query.name}: the index {name} {state}"
        yield from _query_mismatches(session, query)


def _query_mismatches(session: BoundedSession, query: Prepared[..., Any]) -> Iterator[str]:
    fields = [*_fields(query)]
    names = {name for field in fields for name in field.column_types}
    oids = dict(
        session.fetchall(
            "SELECT name, to_regtype(name)::oid FROM unnest(%s::text[]) AS name", [*names]
        )
    )
    slices = {name for name, hint in query.argument_types.items() if hint == Slice}
    shapes = [shape for shape in query.shapes() if slices.isdisjoint(dict(shape.literals))]
    # A problem usually affects many shapes. Each is reported once.
    shapes_by_problem: dict[str, list[Shape]] = defaultdict(list)
    for shape in shapes:
        for problem in _shape_mismatches(session, query, shape, fields, oids):
            shapes_by_problem[problem].append(shape)
    for problem, affected in shapes_by_problem.items():
        more = f" and {len(affected) - 1} more" if len(affected) > 1 else ""
        where = f"({affected[0]}){more}" if len(affected) < len(shapes) else ""
        yield f"{query.name}{where}: {problem}"


def _shape_mismatches(
    session: BoundedSession,
    query: Prepared[..., Any],
    shape: Shape,
    fields: list[RowField],
    oids: dict[str, int],
) -> Iterator[str]:
    try:
        columns = session.describe(query.compiled(shape).text)
    except CompileError as error:
        yield str(error.__cause__)  # without name and shape
        return
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        yield " ".join(filter(None, [error.diag.message_primary, error.diag.message_hint]))
        return
    row = query.row.__name__
    if len(columns) != len(fields):
        yield f"{row} has {len(fields)} fields, but the query has {len(columns)} columns"
        return
    for field, column in zip(fields, columns, strict=True):
        if column not in [oids[name] for name in field.column_types]:
            ((actual,),) = session.fetchall("SELECT format_type(%s, NULL)", column)
            yield f"{row}.{field.name} is {field.type_name}, the column is {actual}"


def _fields(query: Prepared[..., Any]) -> Iterator[RowField]:
    if issubclass(query.row, Model):
        for column in query.row._meta.concrete_fields:
            column_type = str(column.db_type(connections[query.using]))
            yield RowField(column.attname, column_type, [column_type])
        return
    for name, hint in get_type_hints(query.row).items():
        # PostgreSQL does not say whether a column may be NULL.
        field_type = _without_none(hint)
        if get_origin(field_type) is list:
            (element,) = map(_without_none, get_args(field_type))
            column_types = [f"{column_type}[]" for column_type in COLUMN_TYPES.get(element, [])]
            yield RowField(name, str(field_type), column_types)
        else:
            type_name = getattr(field_type, "__name__", str(field_type))
            yield RowField(name, type_name, COLUMN_TYPES.get(field_type, []))


def _without_none(hint: Any) -> Any:
    if get_origin(hint) not in (Union, types.UnionType):
        return hint
    others = [option for option in get_args(hint) if option is not types.NoneType]
    return others[0] if len(others) == 1 else hint
