"""Whether every declared query fits the database as it is, before the first is asked.

Each shape is compiled, and prepared by the server, which says what columns come out. Nothing is
executed, and no statement stays behind. It takes 4 ms a shape, nearly all of it Django's.
"""

import types
from collections import defaultdict
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from time import monotonic
from typing import Any, LiteralString, NamedTuple, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import Model
from django.utils.module_loading import autodiscover_modules
from psycopg import pq
from psycopg.errors import error_from_result

from database.backend import Connection
from database.prepared.compiling import CompileError
from database.prepared.declaring import Prepared, Shape, declared

# What psycopg makes values of a type of, under Django.
COLUMNS = {
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


class Field(NamedTuple):
    """A field of a row."""

    name: str
    kind: str
    columns: list[str]
    """The types of columns that it can be made of."""


class Session:
    """A session with the server, which has until a point in time to answer."""

    def __init__(self, connection: Connection, until: float) -> None:
        self.connection = connection
        self.until = until

    def ask(self, query: LiteralString, *parameters: object) -> list[tuple[Any, ...]]:
        with self._bounded():
            return self.connection.execute(query, parameters).fetchall()

    def describe(self, text: str) -> list[int]:
        """The types of the columns of a statement, by their OIDs. Raises psycopg.Error."""
        pgconn = self.connection.pgconn
        # In one transaction: outside of one, PgBouncer may ask two servers.
        with self._bounded(), self.connection.transaction(force_rollback=True):
            for result in (pgconn.prepare(b"", text.encode()), pgconn.describe_prepared(b"")):
                if pgconn.status != pq.ConnStatus.OK:
                    raise psycopg.OperationalError(result.get_error_message())
                if result.status != pq.ExecStatus.COMMAND_OK:
                    raise error_from_result(result)
        return [result.ftype(column) for column in range(result.nfields)]

    def _bounded(self) -> Any:
        return self.connection.bounded(max(1, self.until - monotonic()))


def misfits(connection: Connection, until: float) -> Iterator[str]:
    """A sentence for each thing that is wrong with a declared query, with its name.

    The connection must be in no transaction. If it has not answered by `until`, as
    time.monotonic() counts, it is cut, and psycopg.OperationalError is raised; a single question
    has one second at least.
    """
    autodiscover_modules("queries")
    session = Session(connection, until)
    valid = dict(
        session.ask(
            "SELECT relname, indisvalid FROM pg_index JOIN pg_class ON oid = indexrelid"
            " WHERE pg_table_is_visible(oid)"
        )
    )
    for query in declared:
        for name in query.indexes:
            if not valid.get(name):
                state = "is not valid, and needs a REINDEX" if name in valid else "does not exist"
                yield f"{query.name}: the index {name} {state}"
        yield from _of_query(session, query)


def _of_query(session: Session, query: Prepared[..., Any]) -> Iterator[str]:
    fields = [*_fields(query.row)]
    names = {name for field in fields for name in field.columns}
    oids = dict(
        session.ask("SELECT name, to_regtype(name)::oid FROM unnest(%s::text[]) AS name", [*names])
    )
    shapes = [*query.shapes()]
    # What is wrong with one shape tends to be wrong with a hundred.
    found: dict[str, list[Shape]] = defaultdict(list)
    for shape in shapes:
        for text in _of_shape(session, query, shape, fields, oids):
            found[text].append(shape)
    for text, those in found.items():
        more = f" and {len(those) - 1} more" if len(those) > 1 else ""
        where = f"({those[0]}){more}" if len(those) < len(shapes) else ""
        yield f"{query.name}{where}: {text}"


def _of_shape(
    session: Session,
    query: Prepared[..., Any],
    shape: Shape,
    fields: list[Field],
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
        yield f"{row} has {len(fields)} fields, and there are {len(columns)} columns"
        return
    for field, column in zip(fields, columns, strict=True):
        if column not in [oids[name] for name in field.columns]:
            ((actual,),) = session.ask("SELECT format_type(%s, NULL)", column)
            yield f"{row}.{field.name} is {field.kind}, the column is {actual}"


def _fields(row: type[Any]) -> Iterator[Field]:
    if issubclass(row, Model):
        for column in row._meta.concrete_fields:
            kind = str(column.db_type(connections[DEFAULT_DB_ALIAS]))
            yield Field(column.attname, kind, [kind])
        return
    for name, hint in get_type_hints(row).items():
        # PostgreSQL does not say whether a column may be NULL.
        kind = _without_none(hint)
        if get_origin(kind) is list:
            (element,) = map(_without_none, get_args(kind))
            yield Field(name, str(kind), [f"{column}[]" for column in COLUMNS.get(element, [])])
        else:
            yield Field(name, getattr(kind, "__name__", str(kind)), COLUMNS.get(kind, []))


def _without_none(hint: Any) -> Any:
    if get_origin(hint) not in (Union, types.UnionType):
        return hint
    others = [kind for kind in get_args(hint) if kind is not types.NoneType]
    return others[0] if len(others) == 1 else hint
