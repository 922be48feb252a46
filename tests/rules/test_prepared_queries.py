"""Every declared query, in every shape, returns the same rows as its queryset."""

import itertools
import random
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.db import connection
from django.utils import timezone
from django.utils.module_loading import autodiscover_modules

from articles.models import Article, Comment
from database.backend.cleanup import Cleanup, cleanup_after
from database.prepared import Prepared, Shape, Slice, declared_queries
from tests.builders import follow, like, make_user, write_article, write_comment
from tests.database.test_prepared import another_pool, with_pool
from users.models import User

autodiscover_modules("queries")
QUERIES = [query for query in declared_queries if not query.name.startswith("tests.")]
CALLS = 600  # the most calls of one query
# PostgreSQL keeps the plan of a statement from the 6th execution on. There is room for two more.
EXECUTIONS_UNTIL_KEPT = 8
# The smallest share of shapes that must find rows: two empty lists are equal and prove nothing.
SHAPES_WITH_ROWS = 0.8

each_query = pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.name)


class Content:
    """Few users and tags with many links between them, so that every filter finds rows, and
    several rows with the same time."""

    def __init__(self) -> None:
        self.chance = random.Random(20)  # noqa: S311 -- no secret
        self.people = [make_user(name) for name in ("alice", "bob", "charlie")]
        self.people[0].bio = "100 % \\ $1"
        self.people[0].save()
        for person, other in itertools.permutations(self.people, 2):
            follow(person, other)
        self.articles = [self._article() for _ in range(60)]
        self.old_slug = self.articles[1].slug
        self.articles[1].title = "Another title"
        self.articles[1].save()
        self.comments = [write_comment(person, self.articles[0]) for person in self.people * 2]
        Session.objects.create(
            session_key="a" * 32, session_data="", expire_date=timezone.now() + timedelta(1)
        )
        self._hide()

    def _article(self, author: User | None = None) -> Article:
        chance, now = self.chance, timezone.now()
        article = write_article(
            author or chance.choice(self.people),
            tags=tuple(chance.sample(["css", "java", "python"], chance.randint(1, 3))),
            created_at=now - timedelta(minutes=chance.randrange(20)),
        )
        for person in chance.sample(self.people, chance.randint(1, 3)):
            like(person, article)
            write_comment(person, article, created_at=now - timedelta(chance.randrange(3)))
        return article

    def _hide(self) -> None:
        """Hide some articles and comments, and an author whom every user follows and favorites."""
        for model in (Article, Comment):
            some = model.objects.values_list("pk", flat=True)[3::20]
            model.objects.filter(pk__in=some).update(hidden_at=timezone.now())
        self.people.append(make_user("dan"))
        self.articles += [self._article(self.people[-1]) for _ in range(3)]
        for person in self.people[:3]:
            follow(person, self.people[-1])
        User.objects.filter(username="dan").update(hidden_at=timezone.now())

    def arguments(self, query: Prepared[..., Any], shape: Shape) -> dict[str, Any]:
        """The arguments of a call of this shape: values that exist, and some that do not."""
        names = ["alice", "bob", "charlie", "nobody"]
        ids = [person.pk for person in self.people[:3]]
        of_name: dict[str, Sequence[Any]] = {
            "tag": ["css", "java", "python", "cobol"],
            "pk": [*ids, *(row.pk for row in (*self.articles[:3], *self.comments[:3])), 0],
            "slug": [self.articles[0].slug, "no-article"],
            # Most of the articles come after these keys.
            "created_at": sorted({row.created_at for row in self.articles})[-6:],
            "article_id": [row.pk for row in self.articles],
            "any_slug": [self.old_slug, self.articles[0].slug, "no-article"],
            "author": names,
            "favorited_by": names,
            "username": [*names, "dan"],
            "session_key": ["a" * 32],
            "now": [timezone.now()],
            "text": ["article", "ARTIC about", "nothing"],
        }
        of_type: dict[Any, Sequence[Any]] = {
            Slice: [1, 2, 3, 50],
            bool: [True, False],
            int: [*ids, 0],
            str: ["", *names],
        }
        drawn = {
            name: self.chance.choice(of_name.get(name) or of_type[query.argument_types[name]])
            for name in sorted(shape.parameters)
        }
        return drawn | dict(shape.literals)


@pytest.fixture
def content(db: None) -> Content:
    return Content()


def values_of(row: Any, fields: Sequence[str]) -> tuple[Any, ...]:
    return tuple(getattr(row, field) for field in fields)


@each_query
def test_the_rows_are_equal_to_those_of_the_queryset(
    query: Prepared[..., Any], content: Content
) -> None:
    shapes = [*query.shapes()]
    found = Counter[Shape]()
    for shape, _ in itertools.product(shapes, range(min(20, CALLS // len(shapes)))):
        drawn = content.arguments(query, shape)
        assert query.shape_of(drawn) == shape
        rows = query(**drawn)

        assert all(type(row) is query.row for row in rows)
        expected = [*query.queryset(**drawn)]
        values = [values_of(row, query.fields) for row in rows]
        assert values == expected, (shape, drawn)
        # Compare the types too: a Decimal is equal to an integer.
        assert [[*map(type, row)] for row in values] == [[*map(type, row)] for row in expected]
        found[shape] += len(rows)

    assert len([*filter(None, found.values())]) >= len(shapes) * SHAPES_WITH_ROWS


@each_query
def test_the_fast_path_returns_the_rows_of_psycopgs_cursor(
    query: Prepared[..., Any], content: Content, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rows() -> list[list[Any]]:
        return [query(**arguments) for arguments in calls]

    shapes = [*query.shapes()]
    each_several_times = itertools.product(shapes, range(max(1, 200 // len(shapes))))
    calls = [content.arguments(query, shape) for shape, _ in each_several_times]
    fast = rows()
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "prepared_fast_path", False)
    monkeypatch.setattr(connection.connection, "prepare_threshold", sys.maxsize)

    assert rows() == fast
    assert any(fast)
    connection.connection.outdated = True  # psycopg deallocates all statements after the rollback


@each_query
def test_no_query_changes_session_state(query: Prepared[..., Any]) -> None:
    texts = [query.compiled(shape).text for shape in query.shapes()]

    assert [text for text in texts if cleanup_after(text) is not Cleanup.NONE] == []


@each_query
def test_each_shape_has_its_own_sql(query: Prepared[..., Any]) -> None:
    texts = [query.compiled(shape).text for shape in query.shapes()]

    assert len({*texts}) == len(texts)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("largest_last", "max_mebibytes"),
    [
        pytest.param(False, 14, id="declared-order"),
        # The worst case: the session still has the largest statements at the end.
        pytest.param(True, 18, id="largest-last"),
    ],
)
def test_a_session_that_has_served_every_shape_stays_small(
    largest_last: bool, max_mebibytes: int
) -> None:
    content = Content()
    with another_pool(with_pool({"min_size": 1, "max_size": 1})):
        calls = [(query, shape) for query in QUERIES for shape in query.shapes()]
        if largest_last:
            calls.sort(key=lambda call: len(call[0].compiled(call[1]).text))
        for (query, shape), _ in itertools.product(calls, range(EXECUTIONS_UNTIL_KEPT)):
            query(**content.arguments(query, shape))
        with connection.cursor() as cursor:
            cursor.execute("SELECT sum(total_bytes) / 1048576 FROM pg_backend_memory_contexts")
            ((mebibytes,),) = cursor.fetchall()
            cursor.execute("SELECT count(*), sum(generic_plans) FROM pg_prepared_statements")
            ((count, generic_plans),) = cursor.fetchall()

    assert len(calls) > count == connection.settings_dict["OPTIONS"]["prepared_max"]
    assert generic_plans > count
    assert mebibytes < max_mebibytes
