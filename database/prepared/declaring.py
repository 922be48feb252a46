"""Prepared queries: written with the ORM, compiled once, run as prepared statements.

    class Card(NamedTuple):
        slug: str
        author__username: str

    @prepared(Card, indexes=["newest_articles"])
    def list_cards(*, tag: str | None = None, limit: Slice = 20) -> QuerySet[Article]:
        articles = Article.objects.newest_first()
        if tag is not None:
            articles = articles.filter(tags__name=tag)
        return articles[:limit]

    list_cards(tag="python")    # list[Card]

To build a queryset and compile it takes Django a millisecond and more, to run it takes
PostgreSQL a tenth of that. So the function is called once for each shape, with `Parameter`s in
place of values, and what Django makes of it is kept for the life of the process.

One rule: an argument that is left at its default is a constant; the others are parameters, and
form the shape. Of those the function may ask whether they are None, and nothing else.

`manage.py check --database default` looks at every shape of every query that is declared in a
module named `queries` of an app (`checking.py`).
"""

import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from types import NoneType
from typing import Annotated, Any, NamedTuple, cast, get_args, get_type_hints

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import Model, QuerySet
from psycopg.types.numeric import Int8

from database.backend import DatabaseWrapper
from database.prepared.compiling import (
    FIELDS,
    Compiled,
    CompileError,
    InSlice,
    Parameter,
    compile_queryset,
)

Slice = Annotated[int, "in a slice"]
"""The type of an argument that stands in slices of the queryset, and nowhere else."""

# In the order in which they were declared, of all modules that are imported.
declared: "list[Prepared[..., Any]]" = []


class Shape(NamedTuple):
    """Which arguments of a query are parameters, and which have a value of `literals`."""

    parameters: frozenset[str]
    literals: frozenset[tuple[str, int]]

    def __str__(self) -> str:
        literals = (f"{name}={value}" for name, value in sorted(self.literals))
        return ", ".join([*sorted(self.parameters), *literals])


class Prepared[**P, Row]:
    """A declared query. Called with the arguments of its declaration, it returns the rows."""

    def __init__(
        self,
        declaration: Callable[P, QuerySet[Any, Any]],
        row: type[Row],
        *,
        indexes: Sequence[str],
        literals: Mapping[str, Sequence[int]],
    ) -> None:
        self.name = f"{declaration.__module__}.{declaration.__qualname__}"
        self.row = row
        self.indexes = indexes
        self.fields, self._make = _maker(row)
        self.__doc__ = declaration.__doc__
        self._declaration = declaration
        self._literals = literals
        self.kinds, self._defaults = _arguments_of(declaration)
        if unknown := {*literals}.difference(self._defaults):
            raise TypeError(f"{self.name} has no argument {', '.join(sorted(unknown))}")
        self._compiled: dict[Shape, Compiled] = {}

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> list[Row]:
        """The rows, in one statement.

        Raises what a queryset raises; TypeError for a None where none may be; OverflowError for
        an integer of more than 64 bits, of which a queryset knows that no row has it.
        """
        if args:
            raise TypeError(f"{self.name} takes arguments by their names alone")
        wrapper = cast(DatabaseWrapper, connections[DEFAULT_DB_ALIAS])
        text, parameters = self.compiled(self.shape_of(kwargs))
        values = [self._value(name, kwargs[name]) for name in parameters]
        with wrapper.prepared_cursor() as cursor:
            cursor.execute(text, values)
            return [*map(self._make, cursor.fetchall())]

    def queryset(self, *args: P.args, **kwargs: P.kwargs) -> QuerySet[Any, Any]:
        """The same rows as tuples, left to Django."""
        return self._declaration(*args, **kwargs).values_list(*self.fields)

    def _value(self, name: str, value: Any) -> Any:
        if value is None:
            # In SQL it would be equal to nothing.
            raise TypeError(f"{self.name}: {name} can't be None")
        # As a bigint, whatever its size: psycopg would name the smallest type that it fits in,
        # and each type makes another statement of one text.
        return Int8(value) if self.kinds[name] in (int, Slice) else value

    def shape_of(self, arguments: Mapping[str, Any]) -> Shape:
        """Raises TypeError for an argument that was not declared."""
        parameters, literals = [], []
        for name, value in arguments.items():
            if name not in self._defaults:
                raise TypeError(f"{self.name} has no argument {name!r}")
            if value == self._defaults[name]:
                continue
            if value in self._literals.get(name, ()):
                literals.append((name, value))
            else:
                parameters.append(name)
        return Shape(frozenset(parameters), frozenset(literals))

    def shapes(self) -> Iterator[Shape]:
        """All shapes that it may be called in."""
        choices = [
            [
                (name, value)
                for value in (default, *self._literals.get(name, ()), _GIVEN)
                if value is not inspect.Parameter.empty
            ]
            for name, default in self._defaults.items()
        ]
        for arguments in itertools.product(*choices):
            yield self.shape_of(dict(arguments))

    def compiled(self, shape: Shape) -> Compiled:
        """Raises CompileError with the name of the query and the shape."""
        compiled = self._compiled.get(shape)
        if compiled is None:
            # Two threads may do so at once, and come to the same.
            compiled = self._compiled[shape] = self._compile(shape)
        return compiled

    def _compile(self, shape: Shape) -> Compiled:
        arguments: dict[str, Any] = dict(shape.literals)
        names = [*self._defaults]
        for name in shape.parameters:
            kind = self.kinds[name]
            arguments[name] = (
                InSlice(names.index(name) + 1) if kind == Slice else Parameter(name, kind)
            )
        try:
            compiled = compile_queryset(self.queryset(**arguments), slices=names)  # type: ignore[call-arg]  # P's
            if unused := shape.parameters.difference(compiled.parameters):
                raise CompileError(f"it makes no use of {', '.join(sorted(unused))}")
        # Whatever it is: the declaration is code like any other.
        except Exception as error:
            raise CompileError(f"{self.name}({shape}): {error}") from error
        return compiled


def prepared[**P, Row](
    row: type[Row],
    *,
    indexes: Sequence[str] = (),
    literals: Mapping[str, Sequence[int]] = {},
) -> Callable[[Callable[P, QuerySet[Any, Any]]], Prepared[P, Row]]:
    """Declare a query: a function with keyword arguments that returns a queryset.

    `row` is a NamedTuple whose fields are called as the ORM calls the columns, or a model, of
    which all columns are fetched. The arguments are of the types in `FIELDS`, or None, or of
    the type `Slice`.

    `indexes` names those without which it is slow: `manage.py check` looks whether they exist.
    `literals` are values that shall be constants too, each of which makes shapes of its own:
    PostgreSQL plans a `LIMIT 10` better than one that it does not know.
    """

    def declare(declaration: Callable[P, QuerySet[Any, Any]]) -> Prepared[P, Row]:
        query = Prepared(declaration, row, indexes=indexes, literals=literals)
        declared.append(query)
        return query

    return declare


_GIVEN = object()


def _arguments_of(declaration: Callable[..., Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The type of each argument, without None, and its default.

    Raises TypeError for an argument that can't be one.
    """
    hints = get_type_hints(declaration, include_extras=True)
    kinds, defaults = {}, {}
    for name, parameter in inspect.signature(declaration).parameters.items():
        hint = hints.get(name, Any)
        others = {hint} if hint == Slice else {*get_args(hint)} or {hint}
        # For None there must be a shape of its own.
        may_be_none = NoneType in others and parameter.default is not None
        kind = (others - {NoneType}).pop()
        if (
            parameter.kind is not parameter.KEYWORD_ONLY
            or len(others - {NoneType}) > 1
            or may_be_none
            or (kind != Slice and kind not in FIELDS)
        ):
            raise TypeError(f"{declaration.__qualname__} can't have an argument {parameter}")
        kinds[name], defaults[name] = kind, parameter.default
    return kinds, defaults


def _maker[Row](row: type[Row]) -> tuple[Sequence[str], Callable[[Any], Row]]:
    """What the ORM calls the columns of a row, and what makes one of a tuple."""
    if issubclass(row, Model):
        names = [field.attname for field in row._meta.concrete_fields]
        return names, cast(Any, partial(row.from_db, DEFAULT_DB_ALIAS, names))
    # What `_make` does, without a look at the length, which the check has had.
    return cast(Any, row)._fields, partial(cast(Any, tuple.__new__), row)
