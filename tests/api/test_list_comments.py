from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.core.exceptions import FieldFetchBlocked
from django.utils.timezone import now
from pytest_django import DjangoAssertNumQueries

from articles.models import Article, Comment
from tests.builders import follow, make_user, write_article, write_comment
from tests.client import ApiClient, next_page_of
from users.models import User

Api = Callable[..., ApiClient]


def path_of(article: Article) -> str:
    return f"/api/articles/{article.slug}/comments"


def test_it_shows_the_comments_to_anybody(api: Api, article: Article, bob: User) -> None:
    bob.bio, bob.image = "I read.", "https://example.com/bob.png"
    bob.save()
    comment = write_comment(
        bob,
        article,
        body="It takes a Jacobian",
        created_at=datetime(2016, 2, 18, 3, 22, 56, 637_000, tzinfo=UTC),
    )
    updated_at = datetime(2016, 2, 18, 3, 48, 35, tzinfo=UTC)
    Comment.objects.filter(pk=comment.pk).update(updated_at=updated_at)

    response = api().get(path_of(article))

    assert response.status_code == 200
    assert response.json() == {
        "comments": [
            {
                "id": comment.pk,
                "createdAt": "2016-02-18T03:22:56.637Z",
                "updatedAt": "2016-02-18T03:48:35.000Z",
                "body": "It takes a Jacobian",
                "author": {
                    "username": "bob",
                    "bio": "I read.",
                    "image": "https://example.com/bob.png",
                    "following": False,
                },
            }
        ]
    }
    assert type(response.json()["comments"][0]["id"]) is int


def test_it_is_empty_without_comments(api: Api, article: Article) -> None:
    response = api().get(path_of(article))

    assert response.status_code == 200
    assert response.json() == {"comments": []}


def test_it_shows_only_the_comments_of_this_article(api: Api, article: Article, bob: User) -> None:
    comment = write_comment(bob, article)
    write_comment(bob, write_article(article.author))

    shown = api().get(path_of(article)).json()["comments"]

    assert [comment["id"] for comment in shown] == [comment.pk]


def test_the_newest_comes_first(api: Api, article: Article, alice: User, bob: User) -> None:
    for year, author in ((2020, alice), (2022, bob), (2021, alice)):
        created_at = datetime(year, 1, 1, tzinfo=UTC)
        write_comment(author, article, body=f"Of {year}", created_at=created_at)

    shown = api().get(path_of(article)).json()["comments"]

    assert [comment["body"] for comment in shown] == ["Of 2022", "Of 2021", "Of 2020"]


def test_the_last_written_comes_first_when_times_are_equal(
    api: Api, article: Article, bob: User
) -> None:
    instant = datetime(2020, 1, 1, tzinfo=UTC)
    written = [write_comment(bob, article, created_at=instant).pk for _ in range(5)]

    shown = api().get(path_of(article)).json()["comments"]

    assert [comment["id"] for comment in shown] == [*reversed(written)]


def test_it_shows_whom_the_viewer_follows(
    api: Api, article: Article, alice: User, bob: User, charlie: User
) -> None:
    follow(charlie, bob)
    for writer in (alice, bob, charlie):
        write_comment(writer, article)

    def followed_by(viewer: User | None) -> set[str]:
        shown = api(viewer).get(path_of(article)).json()["comments"]
        return {c["author"]["username"] for c in shown if c["author"]["following"]}

    assert followed_by(None) == set()
    assert followed_by(alice) == set()
    assert followed_by(bob) == {"alice"}
    assert followed_by(charlie) == {"bob"}


def write_many(author: User, article: Article, count: int) -> list[int]:
    """Create `count` comments and return their ids, newest first."""
    comments = [
        Comment(author=author, article=article, body=f"Comment {n}", updated_at=now())
        for n in range(count)
    ]
    return [comment.pk for comment in reversed(Comment.objects.bulk_create(comments))]


def test_a_page_has_500_comments_and_a_link_to_the_next(
    api: Api, article: Article, bob: User
) -> None:
    written = write_many(bob, article, 1001)
    url: str | None = path_of(article)
    shown, pages = [], []

    while url:
        response = api().get(url)
        page = [comment["id"] for comment in response.json()["comments"]]
        shown += page
        pages.append(len(page))
        url = next_page_of(response)

    assert pages == [500, 500, 1]
    assert shown == written


@pytest.mark.parametrize(
    ("query", "numbers", "following_page"),
    [
        ("limit=1", [0], "limit=1&offset=1"),
        ("limit=2", [0, 1], "limit=2&offset=2"),
        ("limit=4", [0, 1, 2, 3], "limit=4&offset=4"),
        ("limit=5", [0, 1, 2, 3, 4], None),
        ("limit=500", [0, 1, 2, 3, 4], None),
        ("limit=501", [0, 1, 2, 3, 4], None),
        (f"limit={2**63 - 1}", [0, 1, 2, 3, 4], None),
        ("offset=0", [0, 1, 2, 3, 4], None),
        ("offset=3", [3, 4], None),
        ("offset=3&limit=1", [3], "limit=1&offset=4"),
        ("limit=2&offset=3", [3, 4], None),
        ("limit=2&offset=5", [], None),
        (f"offset={2**63 - 1}", [], None),
        (f"limit={2**63 - 1}&offset={2**63 - 1}", [], None),
        ("limit=&offset=", [0, 1, 2, 3, 4], None),
        ("limit=2&offset=", [0, 1], "limit=2&offset=2"),
        ("a=%C3%A4&limit=2&a=%26", [0, 1], "a=%C3%A4&limit=2&a=%26&offset=2"),
        ("limit=2&offset=1&offset=2", [2, 3], "limit=2&offset=4"),
    ],
)
def test_limit_and_offset_select_a_page(
    api: Api,
    article: Article,
    bob: User,
    query: str,
    numbers: list[int],
    following_page: str | None,
) -> None:
    written = write_many(bob, article, 5)

    response = api(bob).get(f"{path_of(article)}?{query}")

    shown = [comment["id"] for comment in response.json()["comments"]]
    assert shown == [written[number] for number in numbers]
    following_page = following_page and f"http://testserver{path_of(article)}?{following_page}"
    assert next_page_of(response) == following_page


@pytest.mark.parametrize("limit", ["500", "501", "100000"])
def test_no_page_has_more_than_500_comments(
    api: Api, article: Article, bob: User, limit: str
) -> None:
    write_many(bob, article, 501)

    response = api().get(path_of(article), {"limit": limit})

    assert len(response.json()["comments"]) == 500
    assert next_page_of(response)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("limit", value) for value in ("0", "-1", "abc", "1.5", "1e3", str(2**63))),
        *(("offset", value) for value in ("-1", "abc", "1.5", "1e3", str(2**63))),
    ],
)
def test_it_refuses_an_invalid_limit_or_offset(
    api: Api, article: Article, name: str, value: str
) -> None:
    response = api().get(path_of(article), {name: value})

    assert response.status_code == 422
    assert [*response.json()["errors"]] == [name]


def test_an_unknown_article_is_404_for_any_page(api: Api, article: Article) -> None:
    response = api().get("/api/articles/nothing-of-the-kind/comments?limit=0")

    assert response.status_code == 404
    assert response.json() == {"errors": {"article": ["not found"]}}


def test_html_is_stored_unchanged(api: Api, article: Article, bob: User) -> None:
    html = "<script>alert('&amp;')</script> <b>bold</b> & \"quoted\""
    write_comment(bob, article, body=html)

    assert api().get(path_of(article)).json()["comments"][0]["body"] == html


@pytest.mark.parametrize("microsecond", [0, 7_000, 600_000])
def test_timestamps_always_have_milliseconds(
    api: Api, article: Article, bob: User, microsecond: int
) -> None:
    created_at = datetime(2016, 2, 18, 3, 22, 56, microsecond, tzinfo=UTC)
    write_comment(bob, article, created_at=created_at)

    shown = api().get(path_of(article)).json()["comments"][0]

    assert shown["createdAt"] == f"2016-02-18T03:22:56.{microsecond // 1000:03}Z"
    assert shown["updatedAt"] == shown["createdAt"]


def test_it_does_not_find_an_unknown_slug(api: Api, article: Article) -> None:
    response = api().get("/api/articles/nothing-of-the-kind/comments")

    assert response.status_code == 404
    assert response.json() == {"errors": {"article": ["not found"]}}


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_other_methods_are_not_allowed(
    api: Api, article: Article, alice: User, method: str
) -> None:
    response = api(alice).generic(method, path_of(article), b"{}", content_type="application/json")

    assert response.status_code == 405
    assert [*response.json()] == ["errors"]


@pytest.mark.parametrize("rows", [1, 20])
def test_it_runs_one_query(
    api: Api, article: Article, django_assert_num_queries: DjangoAssertNumQueries, rows: int
) -> None:
    for number in range(rows):
        write_comment(make_user(f"writer{number}"), article)

    with django_assert_num_queries(1):  # the comments
        answer = api().get(path_of(article)).json()

    assert len(answer["comments"]) == rows


@pytest.mark.parametrize("rows", [1, 20])
def test_it_runs_two_queries_with_a_token(
    api: Api,
    article: Article,
    bob: User,
    django_assert_num_queries: DjangoAssertNumQueries,
    rows: int,
) -> None:
    for number in range(rows):
        write_comment(make_user(f"writer{number}"), article)

    with django_assert_num_queries(2):  # the user behind the token, the comments
        answer = api(bob).get(path_of(article)).json()

    assert len(answer["comments"]) == rows


def test_reading_a_field_that_seen_by_did_not_load_is_an_error(article: Article, bob: User) -> None:
    write_comment(bob, article)
    row = Comment.objects.seen_by(None).get()

    with pytest.raises(FieldFetchBlocked):
        _ = row.article
