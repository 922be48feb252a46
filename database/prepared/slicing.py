"""LIMIT and OFFSET with values that are not known yet.

Django's slices take numbers only: `QuerySet.__getitem__` calls `int()`. So a declared query slices
with `sliced(queryset, limit=…, offset=…)`, which takes parameters too.
"""

from inspect import Parameter as Argument
from typing import Annotated, Any, cast

from django.db import connections
from django.db.models import BigIntegerField, DecimalField, Expression, QuerySet, Value
from django.db.models.functions import Cast, Least
from django.db.models.sql import Query
from django.db.models.sql.compiler import SQLCompiler

from database.prepared.parameters import PlaceholderValue, UnknownValue

Slice = Annotated[int, "in a slice"]
"""The type of an argument that is used in `sliced`, and nowhere else."""


class SliceParameter(UnknownValue):
    """A parameter of the type `Slice`, or a sum of such parameters and numbers."""

    hint = "add to it, and give the sum to sliced()"

    def __init__(self, name: str, default: object) -> None:
        super().__init__(name, default)
        self._terms: list[Expression] = [PlaceholderValue(name, BigIntegerField())]

    def __add__(self, other: "int | SliceParameter") -> "SliceParameter":
        result = SliceParameter(f"{self.name} + …", default=Argument.empty)
        result._terms = self._terms
        if isinstance(other, SliceParameter):
            result._terms = [*self._terms, *other._terms]
        elif other != 0:
            result._terms = [*self._terms, Value(other)]
        return result

    __radd__ = __add__

    def expression(self) -> Expression:
        first, *others = self._terms
        if not others:
            return first
        # A sum of bigints can overflow. There are no rows beyond the largest bigint.
        total: Any = sum(others, start=Cast(first, DecimalField()))
        return Cast(Least(total, Value(BigIntegerField.MAX_BIGINT)), BigIntegerField())


class SlicedQuery(Query):
    """A query whose LIMIT and OFFSET are expressions."""

    limit: Expression
    offset: Expression | None

    @property
    def is_sliced(self) -> bool:
        return True

    def set_limits(self, low: int | None = None, high: int | None = None) -> None:
        raise TypeError("a queryset that has parameters in its slice can't be sliced again")

    def get_compiler(
        self, using: str | None = None, connection: Any = None, elide_empty: bool = True
    ) -> "SlicedCompiler":
        return SlicedCompiler(self, connection or connections[str(using)], using, elide_empty)


class SlicedCompiler(SQLCompiler):
    query: SlicedQuery

    def as_sql(self, with_limits: bool = True, with_col_aliases: bool = False) -> Any:
        sql, parameters = super().as_sql(False, with_col_aliases)
        if with_limits:
            for keyword, value in (("LIMIT", self.query.limit), ("OFFSET", self.query.offset)):
                if value is not None:
                    value_sql, value_parameters = self.compile(value)
                    sql += f" {keyword} {value_sql}"
                    parameters += tuple(value_parameters)
        return sql, parameters


def sliced[Q: QuerySet[Any, Any]](
    queryset: Q, *, limit: int | SliceParameter, offset: int | SliceParameter = 0
) -> Q:
    """`queryset[offset : offset + limit]`. In a declared query, both may be parameters."""
    if isinstance(limit, int) and isinstance(offset, int):
        return queryset[offset : offset + limit]
    if queryset.query.is_sliced:
        raise TypeError("a slice can't be sliced again with parameters")
    query = cast(SlicedQuery, queryset.query.chain(SlicedQuery))
    query.limit = Value(limit) if isinstance(limit, int) else limit.expression()
    if isinstance(offset, int):
        query.offset = Value(offset) if offset else None
    else:
        query.offset = offset.expression()
    result = queryset.all()
    result.query = query
    return result
