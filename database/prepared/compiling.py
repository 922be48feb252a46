"""From a queryset with parameters in place of values to SQL that can be prepared."""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple, NoReturn, Self

from django.core.exceptions import EmptyResultSet
from django.db import DEFAULT_DB_ALIAS
from django.db.models import (
    BigIntegerField,
    BooleanField,
    DateTimeField,
    Field,
    QuerySet,
    TextField,
    Value,
)
from psycopg import sql

# What a parameter can be, and what it is to the ORM and to PostgreSQL.
FIELDS: dict[type, type["Field[Any, Any]"]] = {
    bool: BooleanField,
    datetime: DateTimeField,
    int: BigIntegerField,
    str: TextField,
}

# Django writes LIMIT and OFFSET as numbers, after it has added and subtracted them. So a
# parameter in a slice is a number too, and so large that it is known again in the sum: the
# nth is _SLICE ** n.
_SLICE = 10**20
_SLICES = re.compile(r"\b\d{20,}\b")
_PLACES = re.compile("%[s%]")


class CompileError(Exception):
    """A declared query can't be compiled; the text says why."""


class Parameter:
    """What the declaration of a query is given in place of a value that is not known yet."""

    def __init__(self, name: str, kind: type) -> None:
        self.name = name
        self._place = Place(name, FIELDS[kind]())

    def resolve_expression(self, *args: Any, **kwargs: Any) -> Any:
        return self._place.resolve_expression(*args, **kwargs)

    def _unknown(self, *_: object) -> NoReturn:
        raise TypeError(f"{self.name!r} has no value yet: ask whether it `is None`, and no more")

    __bool__ = __str__ = __eq__ = __lt__ = __le__ = __gt__ = __ge__ = _unknown
    __hash__ = object.__hash__


class InSlice(int):
    """What the declaration is given in place of the nth of its arguments, from 1 on, if that
    stands in slices. To Django, a number."""

    def __new__(cls, n: int) -> Self:
        return super().__new__(cls, _SLICE**n)

    def _alone(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("what stands in slices has no value yet, and can't stand elsewhere")

    __bool__ = resolve_expression = _alone


class Place(Value):
    """Where the value of a parameter goes."""

    def __init__(self, name: str, output_field: "Field[Any, Any]") -> None:
        super().__init__(None, output_field)
        self.name = name

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        # With its type, which PostgreSQL can't always tell from the place. And it would take a
        # number for a smallint or a numeric, as its value is: one text, several statements.
        return f"%s::{self.output_field.db_type(connection)}", (self,)


class Compiled(NamedTuple):
    """The SQL of a queryset."""

    text: str
    """With $1, $2, … in place of parameters."""
    parameters: Sequence[str]
    """Their names, in that order."""


def compile_queryset(queryset: QuerySet[Any, Any], slices: Sequence[str]) -> Compiled:
    """`slices` are names of arguments, of which the nth may stand in slices as `InSlice(n)`.

    Raises CompileError where nothing would come out, or not what the ORM would give.
    """
    compiler = queryset.query.get_compiler(using=DEFAULT_DB_ALIAS)
    try:
        text, values = compiler.as_sql()
    except EmptyResultSet:
        raise CompileError("it finds nothing, whatever its parameters are") from None
    for column, *_ in compiler.select:
        # Not those of expressions, which make an int of what PostgreSQL gives as one.
        if column.output_field.get_db_converters(compiler.connection):
            raise CompileError(f"{column} is converted in Python, which is not done here")
    names: dict[str, int] = {}

    def place(name: str) -> str:
        return f"${names.setdefault(name, len(names) + 1)}"

    def terms(number: int) -> Iterator[str]:
        for index, name in reversed([*enumerate(slices, start=1)]):
            times, number = divmod(number, _SLICE**index)
            if times == 1:
                yield f"{place(name)}::bigint"
            elif times:
                raise CompileError(f"a slice has {times} times {name!r}")
        if number:
            yield str(number)

    def slice_(match: re.Match[str]) -> str:
        first, *others = terms(int(match[0]))
        if not others:
            return first
        # A bigint has an end, and beyond it there are no rows anyway.
        return f"least({' + '.join([f'{first}::numeric', *others])}, {2**63 - 1})::bigint"

    remaining = iter(values)

    def value(match: re.Match[str]) -> str:
        if match[0] == "%%":
            return "%"
        found = next(remaining)
        if isinstance(found, Place):
            return place(found.name)
        # A part of the text: what the planner knows, it can make use of.
        return sql.Literal(found).as_string(None)

    text = _SLICES.sub(slice_, text)
    text = _PLACES.sub(value, text)
    return Compiled(text, [*names])
