"""Prepared queries: written with the ORM, compiled once, run as prepared statements.

    class Card(NamedTuple):
        slug: str
        author__username: str

    @prepared(Card, indexes=["newest_articles"])
    def list_cards(*, tag: str | None = None, limit: Slice = 20) -> QuerySet[Article]:
        articles = Article.objects.newest_first()
        if tag is not None:
            articles = articles.filter(tags__name=tag)
        return sliced(articles, limit=limit)

    list_cards(tag="python")    # list[Card]

Django needs a millisecond or more to build and compile a queryset; PostgreSQL needs a tenth of
that to run it. So the function is called once for each shape, with `Parameter`s in place of
values, and the SQL is kept for the life of the process.

One rule: an argument that is left at its default is a constant. The other arguments are
parameters, and form the shape. The function may ask whether a parameter is None, or equal to the
default of its argument, and nothing else.

`manage.py check --database default` checks every shape of every query that is declared in a
module named `queries` of an app (`checking.py`).
"""

import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from types import NoneType
from typing import Any, NamedTuple, cast, get_args, get_type_hints

from django.db import DEFAULT_DB_ALIAS
from django.db.models import Model, QuerySet
from psycopg.types.numeric import Int8

from database.backend import database_wrapper
from database.prepared.calls import Call
from database.prepared.compiling import FIELDS, Compiled, CompileError, compile_queryset
from database.prepared.parameters import Parameter, UnknownValue
from database.prepared.slicing import Slice, SliceParameter

# The queries of all modules that are imported, in the order of their declaration.
declared_queries: "list[Prepared[..., Any]]" = []


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
        using: str,
    ) -> None:
        self.name = f"{declaration.__module__}.{declaration.__qualname__}"
        self.row = row
        self.indexes = indexes
        self.using = using
        self.fields, self._make_row = _columns_and_factory(row, using)
        self.__doc__ = declaration.__doc__
        self._declaration = declaration
        self._literals = literals
        self.argument_types, self._defaults = _arguments_of(declaration)
        if unknown := {*literals}.difference(self._defaults):
            raise TypeError(f"{self.name} has no argument {', '.join(sorted(unknown))}")
        self._compiled: dict[Shape, Compiled] = {}

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> list[Row]:
        """The rows, in one statement.

        Raises what a queryset raises; TypeError for None where the default is not None;
        OverflowError for an integer of more than 64 bits, where a queryset finds no row.
        """
        call = self.call(*args, **kwargs)
        with database_wrapper(self.using).prepared_cursor() as cursor:
            return call.rows(cursor)

    def call(self, *args: P.args, **kwargs: P.kwargs) -> Call[Row]:
        """The query with these arguments, for `together`. Raises TypeError as a call does."""
        if args:
            raise TypeError(f"{self.name} takes keyword arguments only")
        text, parameters = self.compiled(self.shape_of(kwargs))
        values = [self._value(name, kwargs[name]) for name in parameters]
        return Call(text, values, self._make_row, self.using)

    def queryset(self, *args: P.args, **kwargs: P.kwargs) -> QuerySet[Any, Any]:
        """The queryset of the declaration: the same rows as tuples."""
        return self._declaration(*args, **kwargs).using(self.using).values_list(*self.fields)

    def _value(self, name: str, value: Any) -> Any:
        if value is None:
            # `column = NULL` finds no row in SQL. None is possible only as the default.
            raise TypeError(f"{self.name}: {name} can't be None")
        # Always a bigint: psycopg would choose the smallest type for each value, and PostgreSQL
        # would prepare one text once for each type.
        return Int8(value) if self.argument_types[name] in (int, Slice) else value

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
        """All shapes in which it can be called."""
        choices = [
            [
                (name, value)
                for value in (default, *self._literals.get(name, ()), _ANY_OTHER_VALUE)
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
            # Two threads may compile at once: the result is the same.
            compiled = self._compiled[shape] = self._compile(shape)
        return compiled

    def _compile(self, shape: Shape) -> Compiled:
        arguments: dict[str, Any] = dict(shape.literals)
        arguments |= {name: self._parameter(name) for name in shape.parameters}
        try:
            compiled = compile_queryset(self.queryset(**arguments))  # type: ignore[call-arg]  # P's
            if unused := shape.parameters.difference(compiled.parameters):
                raise CompileError(f"it makes no use of {', '.join(sorted(unused))}")
        # The declaration is code like any other: it may raise anything.
        except Exception as error:
            raise CompileError(f"{self.name}({shape}): {error}") from error
        return compiled

    def _parameter(self, name: str) -> UnknownValue:
        argument_type, default = self.argument_types[name], self._defaults[name]
        if argument_type == Slice:
            return SliceParameter(name, default)
        return Parameter(name, FIELDS[argument_type](), default)


def prepared[**P, Row](
    row: type[Row],
    *,
    indexes: Sequence[str] = (),
    literals: Mapping[str, Sequence[int]] = {},
    using: str = DEFAULT_DB_ALIAS,
) -> Callable[[Callable[P, QuerySet[Any, Any]]], Prepared[P, Row]]:
    """Declare a query: a function with keyword arguments that returns a queryset.

    `row` is a model, or a NamedTuple whose fields have the names that the ORM gives the columns.
    For a model, all its columns are fetched. The types of the arguments are those in `FIELDS`, the
    same with None, or `Slice`.

    `indexes` names the indexes without which the query is slow: `manage.py check` looks for them.
    `literals` maps an argument to values that are compiled as constants; each value has shapes of
    its own. PostgreSQL plans a `LIMIT 10` better than a limit that it does not know.
    `using` is the alias of the database that the query reads.

    Raises TypeError for an argument without a type, or with a type that can't be a parameter.
    """

    def declare(declaration: Callable[P, QuerySet[Any, Any]]) -> Prepared[P, Row]:
        query = Prepared(declaration, row, indexes=indexes, literals=literals, using=using)
        declared_queries.append(query)
        return query

    return declare


_ANY_OTHER_VALUE = object()


def _arguments_of(declaration: Callable[..., Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The type of each argument, without None, and its default.

    Raises TypeError for an argument that can't be a parameter.
    """
    hints = get_type_hints(declaration, include_extras=True)
    argument_types, defaults = {}, {}
    for name, argument in inspect.signature(declaration).parameters.items():
        hint = hints.get(name, Any)
        options = {hint} if hint == Slice else {*get_args(hint)} or {hint}
        # None needs a shape of its own.
        may_be_none = NoneType in options and argument.default is not None
        options -= {NoneType}
        argument_type = next(iter(options))
        if (
            argument.kind is not argument.KEYWORD_ONLY
            or len(options) > 1
            or may_be_none
            or (argument_type != Slice and argument_type not in FIELDS)
        ):
            raise TypeError(f"{declaration.__qualname__} can't have an argument {argument}")
        argument_types[name], defaults[name] = argument_type, argument.default
    return argument_types, defaults


def _columns_and_factory[Row](
    row: type[Row], using: str
) -> tuple[Sequence[str], Callable[[Any], Row]]:
    """The names that the ORM gives the columns of a row, and a function that makes a row of a
    tuple."""
    if issubclass(row, Model):
        names = [field.attname for field in row._meta.concrete_fields]
        return names, cast(Any, partial(row.from_db, using, names))
    named_tuple = cast(Any, row)
    # `_make` is a Python function that also counts the values: a third of the cost of the tags.
    return named_tuple._fields, partial(tuple.__new__, named_tuple)
