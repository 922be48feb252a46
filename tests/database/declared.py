"""Prepared queries for the tests, declared in a module as apps do."""

from typing import Any, NamedTuple

from django.db.models import QuerySet

from articles.models import Tag
from database.prepared import Prepared, Slice, prepared, sliced
from users.models import User


class TagRow(NamedTuple):
    name: str


class Person(NamedTuple):
    id: int
    username: str


def tags_by_name(name: str | None, limit: int, offset: int) -> QuerySet[Tag]:
    found = Tag.objects.order_by("name")
    if name is not None:
        found = found.filter(name=name)
    return sliced(found, limit=limit, offset=offset)


@prepared(TagRow, literals={"limit": [2]})
def list_tags(*, name: str | None = None, limit: Slice = 20, offset: Slice = 0) -> QuerySet[Tag]:
    return tags_by_name(name, limit, offset)


@prepared(Person)
def people_called(*, username: str) -> QuerySet[User]:
    return User.objects.filter(username=username)


@prepared(User)
def user_with_id(*, pk: int) -> QuerySet[User]:
    return User.objects.filter(pk=pk)


def names(rows: list[TagRow]) -> list[str]:
    return [row.name for row in rows]


def texts(query: Prepared[..., Any]) -> dict[str, str]:
    """The SQL of every shape, by the name of the shape."""
    return {str(shape): query.compiled(shape).text for shape in query.shapes()}
