"""Compiles a queryset that has parameters in place of values to SQL that can be prepared."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.core.exceptions import EmptyResultSet
from django.db.models import (
    BigIntegerField,
    BooleanField,
    DateTimeField,
    Field,
    QuerySet,
    TextField,
)
from psycopg import sql

from database.prepared.parameters import PlaceholderValue

# The types that a parameter can have. The field of the ORM gives the type in PostgreSQL.
FIELDS: dict[type, type["Field[Any, Any]"]] = {
    bool: BooleanField,
    datetime: DateTimeField,
    int: BigIntegerField,
    str: TextField,
}

_PLACEHOLDERS = re.compile("%[s%]")


class CompileError(Exception):
    """A declared query can't be compiled; the text says why."""


class Compiled(NamedTuple):
    """The SQL of a queryset."""

    text: str
    """With $1, $2, … in place of parameters."""
    parameters: Sequence[str]
    """The names of the parameters, in this order."""


def compile_queryset(queryset: QuerySet[Any, Any]) -> Compiled:
    """Compile for the database of the queryset.

    Raises CompileError if the queryset is always empty, or if Django converts a column in Python.
    """
    compiler = queryset.query.get_compiler(using=queryset.db)
    try:
        text, values = compiler.as_sql()
    except EmptyResultSet:
        raise CompileError("it returns no rows, with any parameters") from None
    for column, *_ in compiler.select:
        # Converters of expressions are ignored: they only convert an int to an int.
        if column.output_field.get_db_converters(compiler.connection):
            raise CompileError(f"{column} is converted in Python, which is not done here")
    numbers: dict[str, int] = {}  # of the parameters, by name
    remaining = iter(values)

    def replace(match: re.Match[str]) -> str:
        if match[0] == "%%":
            return "%"
        value = next(remaining)
        if isinstance(value, PlaceholderValue):
            return f"${numbers.setdefault(value.name, len(numbers) + 1)}"
        # A constant becomes a literal, because the planner makes use of its value.
        return sql.Literal(value).as_string(None)

    text = _PLACEHOLDERS.sub(replace, text)
    return Compiled(text, [*numbers])
