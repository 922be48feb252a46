"""The SQL of declared queries, and declarations that are refused."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Barrier
from typing import Any, NamedTuple, cast

import pytest
from django.db import DataError
from django.db.models import F, QuerySet, Value
from django.db.models.functions import Concat
from django.utils import timezone

from articles.models import Tag
from database.prepared import CompileError, Prepared, Slice, prepared, sliced
from tests.builders import make_user
from tests.database.declared import (
    Person,
    TagRow,
    list_tags,
    names,
    people_called,
    tags_by_name,
    texts,
    user_with_id,
)
from users.models import User

pytestmark = pytest.mark.usefixtures("nothing_declared")


SELECT = 'SELECT "articles_tag"."name" AS "name" FROM "articles_tag"'


def test_the_sql_is_the_sql_of_django_with_typed_placeholders() -> None:
    assert texts(people_called) == {
        "username": 'SELECT "users_user"."id" AS "id", "users_user"."username" AS "username"'
        ' FROM "users_user" WHERE "users_user"."username" = $1::text'
    }


def test_default_arguments_and_literals_become_constants() -> None:
    ordered = f"{SELECT} ORDER BY 1 ASC"
    found = texts(list_tags)

    assert len(found) == 12
    assert found[""] == f"{ordered} LIMIT 20"
    assert found["limit=2"] == f"{ordered} LIMIT 2"
    assert found["limit"] == f"{ordered} LIMIT $1::bigint"
    assert found["offset"] == f"{ordered} LIMIT 20 OFFSET $1::bigint"
    assert found["limit, offset"] == f"{ordered} LIMIT $1::bigint OFFSET $2::bigint"
    assert found["name"] == (
        f'{SELECT} WHERE "articles_tag"."name" = $1::text ORDER BY 1 ASC LIMIT 20'
    )


def test_all_shapes_are_known() -> None:
    @prepared(TagRow, literals={"limit": [2]})
    def query(*, name: str | None = None, limit: Slice = 20, offset: Slice = 0) -> QuerySet[Tag]:
        return tags_by_name(name, limit, offset)

    assert {*map(str, query.shapes())} == {
        *("", "name", "limit", "offset", "limit, offset", "limit=2", "name, limit=2"),
        *("offset, limit=2", "name, offset", "limit, name", "limit, name, offset"),
        "name, offset, limit=2",
    }


def test_a_limit_and_an_offset_may_be_sums(tags: None) -> None:
    @prepared(TagRow)
    def query(*, limit: Slice, offset: Slice = 0) -> QuerySet[Tag]:
        newest = sliced(Tag.objects.order_by("-pk"), limit=1 + offset + limit + 1)
        tags = Tag.objects.filter(pk__in=newest.values("pk"))
        return sliced(tags.order_by("pk"), limit=limit, offset=offset + 1)

    def largest(sum_of: str) -> str:
        return f"(LEAST({sum_of}, 9223372036854775807))::bigint"

    text = texts(query)["limit, offset"]

    assert f"DESC LIMIT {largest('(((($1::bigint)::numeric + 1) + $2::bigint) + 1)')})" in text
    assert text.endswith(f"LIMIT $2::bigint OFFSET {largest('(($1::bigint)::numeric + 1)')}")
    assert query.compiled(query.shape_of({"limit": 1, "offset": 1})).parameters == [
        "offset",
        "limit",
    ]
    for limit, offset in ((1, 0), (1, 1), (2, 1), (5, 2)):
        arguments = {"limit": limit, "offset": offset}
        assert query(**arguments) == list(query.queryset(**arguments))


def test_a_slice_may_end_beyond_all_rows(tags: None) -> None:
    @prepared(TagRow)
    def query(*, limit: Slice, offset: Slice = 0) -> QuerySet[Tag]:
        first = sliced(Tag.objects.order_by("pk"), limit=offset + limit).values("pk")
        tags = Tag.objects.filter(pk__in=first).order_by("name")
        return sliced(tags, limit=limit, offset=offset)

    assert len(query(limit=2**63 - 1, offset=1)) == 3
    assert query(limit=2**63 - 1, offset=2**63 - 1) == []


def test_a_slice_of_numbers_is_djangos_own() -> None:
    tags = Tag.objects.order_by("name")

    assert str(sliced(tags, limit=2).query) == str(tags[:2].query)
    assert str(sliced(tags, limit=2, offset=1).query) == str(tags[1:3].query)


def test_a_distinct_subquery_may_be_sliced(tags: None) -> None:
    @prepared(TagRow)
    def query(*, limit: Slice) -> QuerySet[Tag]:
        first = Tag.objects.order_by("-name").distinct().values("pk")
        return Tag.objects.filter(pk__in=sliced(first, limit=limit)).order_by("name")

    assert names(query(limit=2)) == ["python", "rust"]


def test_a_parameter_is_compared_with_its_default_only() -> None:
    compared = []

    @prepared(TagRow)
    def query(*, name: str = "", limit: Slice, offset: Slice = 0) -> QuerySet[Tag]:
        compared.append((name == "", offset == 0))
        return tags_by_name(name, limit, offset)

    for shape in query.shapes():
        query.compiled(shape)

    assert {*compared} == {(True, True), (True, False), (False, True), (False, False)}


def test_special_characters_in_constants_are_kept(tags: None) -> None:
    odd = '50% o\'clock \\ %s %% $1 {} "quoted" 100000000000000000000'
    Tag.objects.create(name=odd)

    @prepared(TagRow)
    def constant(*, other: str) -> QuerySet[Tag]:
        return Tag.objects.filter(name=odd).exclude(name=other)

    @prepared(TagRow)
    def contained(*, part: str) -> QuerySet[Tag]:
        return Tag.objects.filter(name__icontains="%").filter(name__icontains=part)

    @prepared(TagRow)
    def every(*, nth: int) -> QuerySet[Tag]:
        return Tag.objects.annotate(rest=F("pk") % nth).filter(rest=0)

    assert len(every(nth=1)) == 5
    assert names(constant(other="css")) == [odd]
    assert names(list_tags(name=odd)) == [odd]
    assert names(contained(part="% O'CLOCK \\ %S %%")) == [odd]
    assert names(contained(part="_")) == []


def test_a_parameter_may_be_used_several_times_and_in_expressions(tags: None) -> None:
    class Greeting(NamedTuple):
        name: str
        greeting: str

    @prepared(Greeting)
    def query(*, word: str, after: str = "") -> QuerySet[Tag]:
        greeting = Concat(Value("% "), word, F("name"), output_field=Tag._meta.get_field("name"))
        found = Tag.objects.annotate(greeting=greeting).exclude(name=word)
        return found.filter(name__gt=after).order_by("name")

    assert query(word="java", after="css") == [
        ("python", "% javapython"),
        ("rust", "% javarust"),
    ]
    assert "$3" not in texts(query)["after, word"]


@pytest.mark.django_db
def test_a_datetime_and_a_boolean_may_be_parameters() -> None:
    @prepared(Person)
    def query(*, since: datetime, active: bool) -> QuerySet[User]:
        return User.objects.filter(created_at__gte=since, is_active=active).order_by("pk")

    alice = make_user("alice")
    make_user("bob", is_active=False)
    since = alice.created_at

    assert query(since=since, active=True) == [(alice.pk, "alice")]
    assert [row.username for row in query(since=since, active=False)] == ["bob"]
    assert query(since=timezone.now() + timedelta(hours=1), active=True) == []


def test_simultaneous_threads_compile_the_same_sql() -> None:
    count = 8

    for _ in range(5):

        @prepared(TagRow)
        def query(*, name: str | None = None, limit: Slice = 20) -> QuerySet[Tag]:
            return tags_by_name(name, limit, 0)

        barrier = Barrier(count)

        def compile_all(
            _: int, query: Prepared[..., Any] = query, barrier: Barrier = barrier
        ) -> dict[str, str]:
            barrier.wait()
            return texts(query)

        with ThreadPoolExecutor(count) as threads:
            found = list(threads.map(compile_all, range(count)))
        assert len(found[0]) == 4
        assert all(each == found[0] for each in found)


Declaration = Callable[..., QuerySet[Any]]


def truth(*, name: str) -> QuerySet[Tag]:
    return Tag.objects.filter(name=name) if name else Tag.objects.all()


def comparison(*, name: str) -> QuerySet[Tag]:
    return Tag.objects.filter(name=name) if name == "java" else Tag.objects.all()


def formatted(*, name: str) -> QuerySet[Tag]:
    return Tag.objects.filter(name=f"{name}!")


def added(*, name: str) -> QuerySet[Tag]:
    return Tag.objects.filter(name=name + "!")


def number(*, pk: int) -> QuerySet[Tag]:
    return Tag.objects.filter(pk=int(pk))


def nothing(*, name: str) -> QuerySet[Tag]:
    return Tag.objects.filter(name=name).none()


def is_null(*, name: str) -> QuerySet[Tag]:
    return Tag.objects.filter(name__isnull=name)  # type: ignore[misc]  # the point of it


def mixed(*, name: str) -> QuerySet[Tag]:
    return Tag.objects.annotate(both=Concat("name", name)).filter(both="x")


def unused(*, name: str) -> QuerySet[Tag]:
    return Tag.objects.all()


def no_field(*, name: str) -> QuerySet[Tag]:
    return Tag.objects.filter(title=name)  # type: ignore[misc]  # the point of it


def doubled(*, limit: Slice) -> QuerySet[Tag]:
    return sliced(Tag.objects.all(), limit=limit * 2)


def product(*, limit: Slice, offset: Slice) -> QuerySet[Tag]:
    return sliced(Tag.objects.all(), limit=limit * offset)


def lessened(*, limit: Slice) -> QuerySet[Tag]:
    return sliced(Tag.objects.all(), limit=limit - 1)


def without_a_function(*, limit: Slice) -> QuerySet[Tag]:
    return Tag.objects.all()[:limit]


def slice_of_a_slice(*, limit: Slice) -> QuerySet[Tag]:
    return sliced(Tag.objects.all()[:5], limit=limit)


def number_in_a_slice(*, limit: Slice) -> QuerySet[Tag]:
    return sliced(Tag.objects.all(), limit=limit)[:5]


def filtered_slice(*, limit: Slice) -> QuerySet[Tag]:
    return sliced(Tag.objects.all(), limit=limit).filter(name="java")


def in_a_filter(*, limit: Slice) -> QuerySet[Tag]:
    return sliced(Tag.objects.filter(pk__lt=limit), limit=limit)


def asked(*, limit: Slice) -> QuerySet[Tag]:
    return sliced(Tag.objects.all(), limit=limit or 5)


def other_number(*, offset: Slice = 0) -> QuerySet[Tag]:
    return sliced(Tag.objects.all(), limit=1 if offset == 10 else 2, offset=offset)


def no_queryset(*, name: str) -> Any:
    return [name]


@pytest.mark.parametrize(
    ("declaration", "why"),
    [
        (truth, "'name' has no value yet: compare it with None or its default only"),
        (comparison, "'name' has no value yet"),
        (formatted, "'name' has no value yet"),
        (added, "unsupported operand"),
        (number, "int() argument must be"),
        (nothing, "it returns no rows, with any parameters"),
        (is_null, "The QuerySet value for an isnull lookup must be True or False."),
        (mixed, "Expression contains mixed types: CharField, TextField."),
        (unused, "it makes no use of name"),
        (no_field, "Cannot resolve keyword 'title' into field."),
        (doubled, "unsupported operand"),
        (product, "unsupported operand"),
        (lessened, "unsupported operand"),
        (without_a_function, "'limit' has no value yet: add to it, and give the sum to sliced()"),
        (slice_of_a_slice, "a slice can't be sliced again with parameters"),
        (number_in_a_slice, "a queryset that has parameters in its slice can't be sliced again"),
        (filtered_slice, "Cannot filter a query once a slice has been taken."),
        (in_a_filter, "Field 'id' expected a number but got <database.prepared.slicing."),
        (asked, "'limit' has no value yet"),
        (other_number, "'offset' has no value yet"),
        (no_queryset, "'list' object has no attribute"),
    ],
)
def test_a_query_that_cannot_be_compiled_is_reported_by_name(
    declaration: Declaration, why: str
) -> None:
    query = prepared(TagRow)(declaration)
    *_, shape = query.shapes()  # with a parameter for each argument

    with pytest.raises(CompileError) as raised:
        query.compiled(shape)

    assert str(raised.value).startswith(f"{__name__}.{declaration.__name__}({shape}): {why}")


def test_a_column_that_is_converted_in_python_is_refused() -> None:
    class Answer(NamedTuple):
        headers: dict[str, str]

    from database.models import IdempotencyKey

    @prepared(Answer)
    def query() -> QuerySet[IdempotencyKey]:
        return IdempotencyKey.objects.all()

    with pytest.raises(CompileError, match=r"headers\) is converted in Python"):
        query()


def positional(name: str) -> QuerySet[Tag]:
    return Tag.objects.filter(name=name)


def untyped(*, name) -> QuerySet[Tag]:  # type: ignore[no-untyped-def]  # the point of it
    return Tag.objects.filter(name=name)


def floating(*, pk: float) -> QuerySet[Tag]:
    return Tag.objects.filter(pk=pk)  # type: ignore[misc]  # the point of it


def either(*, pk: int | str) -> QuerySet[Tag]:
    return Tag.objects.filter(pk=pk)


def none_without_a_shape(*, name: str | None) -> QuerySet[Tag]:
    return Tag.objects.filter(name=name or "")


@pytest.mark.parametrize(
    "declaration", [positional, untyped, floating, either, none_without_a_shape]
)
def test_arguments_are_keyword_only_have_one_type_and_a_default_if_they_may_be_none(
    declaration: Declaration,
) -> None:
    with pytest.raises(TypeError, match=f"{declaration.__name__} can't have an argument (name|pk)"):
        prepared(TagRow)(declaration)


def test_literals_of_unknown_arguments_are_refused() -> None:
    with pytest.raises(TypeError, match="truth has no argument size"):
        prepared(TagRow, literals={"size": [1]})(truth)


def test_a_call_that_does_not_match_the_declaration_is_refused(tags: None) -> None:
    tags_of_any, people_of_any = cast(Any, list_tags), cast(Any, people_called)
    with pytest.raises(TypeError, match="list_tags has no argument 'nam'"):
        tags_of_any(nam="css")
    with pytest.raises(TypeError, match="list_tags takes keyword arguments only"):
        tags_of_any("css")
    with pytest.raises(CompileError, match=r"people_called\(\): .* missing 1 required"):
        people_of_any()
    with pytest.raises(TypeError, match="people_called: username can't be None"):
        people_of_any(username=None)


@pytest.mark.django_db
def test_impossible_values_are_refused_before_they_are_sent() -> None:
    for number in (2**63, -(2**63) - 1):
        with pytest.raises(OverflowError):
            user_with_id(pk=number)
    with pytest.raises(DataError, match="NUL"):
        people_called(username="nul\0")

    # The transaction is still usable.
    assert user_with_id(pk=2**63 - 1) == []
