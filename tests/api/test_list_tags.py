from collections.abc import Callable
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from articles.models import Article, Tag, Tagging
from tests.builders import like, write_article
from tests.client import ApiClient, next_page_of
from users.models import User

Api = Callable[..., ApiClient]

PATH = "/api/tags"
CONTENT = {"title": "A title", "description": "What it is about", "body": "A text"}


def test_it_shows_the_tags_to_anybody(api: Api, article: Article) -> None:
    response = api().get(PATH)

    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    assert response.json() == {"tags": ["dragons", "training"]}


def test_it_is_empty_when_no_article_has_a_tag(api: Api, alice: User) -> None:
    write_article(alice)

    response = api().get(PATH)

    assert response.status_code == 200
    assert response.json() == {"tags": []}


def test_the_most_used_tags_come_first(api: Api, alice: User, bob: User) -> None:
    write_article(alice, tags=("rare", "common", "most"))
    write_article(alice, tags=("most",))
    write_article(bob, tags=("most", "common"))

    assert api().get(PATH).json() == {"tags": ["most", "common", "rare"]}


def test_favorites_and_comments_do_not_change_the_order(
    api: Api, alice: User, bob: User, charlie: User
) -> None:
    liked = write_article(alice, tags=("liked",))
    for reader in (alice, bob, charlie):
        like(reader, liked)
    write_article(alice, tags=("common",))
    write_article(alice, tags=("common",))

    assert api().get(PATH).json() == {"tags": ["common", "liked"]}


def test_equally_used_tags_are_sorted_by_code_point(api: Api, alice: User) -> None:
    # In the order of UTF-16 the last two would be swapped.
    names = ["10", "9", "B", "Z", "a", "a b", "a-b", "b", "z", "ä", "日本語", "\uff5e", "😀"]
    write_article(alice, tags=tuple(reversed(names)))

    assert api().get(PATH).json() == {"tags": names}


def test_tags_of_different_case_are_different(api: Api, alice: User) -> None:
    write_article(alice, tags=("python",))
    write_article(alice, tags=("Python", "python"))

    assert api().get(PATH).json() == {"tags": ["python", "Python"]}


def test_a_page_has_10000_tags_and_a_link_to_the_next(api: Api, article: Article) -> None:
    names = [f"{number:05}" for number in range(20_001)]
    tags = Tag.objects.bulk_create([Tag(name=name) for name in names])
    Tagging.objects.all().delete()
    Tagging.objects.bulk_create([Tagging(article=article, tag=tag) for tag in tags])
    url: str | None = PATH
    shown, pages = [], []

    while url:
        response = api().get(url)
        page = response.json()["tags"]
        shown += page
        pages.append(len(page))
        url = next_page_of(response)

    assert pages == [10_000, 10_000, 1]
    assert shown == names
    assert len(api().get(PATH, {"limit": 10_001}).json()["tags"]) == 10_000


@pytest.mark.parametrize(
    ("query", "shown", "following_page"),
    [
        ("limit=1", "a", "limit=1&offset=1"),
        ("limit=3&x=%26", "abc", "limit=3&x=%26&offset=3"),
        ("limit=4", "abcd", None),
        ("limit=10001", "abcd", None),
        (f"limit={2**63 - 1}", "abcd", None),
        ("offset=1", "bcd", None),
        ("limit=2&offset=1", "bc", "limit=2&offset=3"),
        ("limit=2&offset=2", "cd", None),
        (f"offset={2**63 - 1}", "", None),
        (f"limit={2**63 - 1}&offset={2**63 - 1}", "", None),
        ("limit=&offset=", "abcd", None),
    ],
)
def test_limit_and_offset_select_a_page(
    api: Api, alice: User, query: str, shown: str, following_page: str | None
) -> None:
    write_article(alice, tags=("d", "c", "b", "a"))

    response = api().get(f"{PATH}?{query}")

    assert response.json() == {"tags": [*shown]}
    following_page = following_page and f"http://testserver{PATH}?{following_page}"
    assert next_page_of(response) == following_page


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
    response = api().get(PATH, {name: value})

    assert response.status_code == 422
    assert [*response.json()["errors"]] == [name]


def test_a_new_tag_is_listed_at_once(api: Api, alice: User) -> None:
    response = api(alice).post("/api/articles", {"article": CONTENT | {"tagList": ["b", "a"]}})
    assert api().get(PATH).json() == {"tags": ["a", "b"]}

    path = f"/api/articles/{response.json()['article']['slug']}"
    api(alice).put(path, {"article": {"tagList": ["c"]}})
    assert api().get(PATH).json() == {"tags": ["c"]}


@pytest.mark.parametrize("change", [{"tagList": []}, {"tagList": ["training"]}])
def test_a_tag_that_is_removed_from_its_last_article_is_absent(
    api: Api, alice: User, article: Article, change: dict[str, Any]
) -> None:
    api(alice).put(f"/api/articles/{article.slug}", {"article": change})

    assert api().get(PATH).json() == {"tags": change["tagList"]}


def test_the_tags_of_a_deleted_article_are_absent(
    api: Api, alice: User, bob: User, article: Article
) -> None:
    write_article(bob, tags=("training",))

    api(alice).delete(f"/api/articles/{article.slug}")

    assert api().get(PATH).json() == {"tags": ["training"]}


def test_a_tag_without_articles_is_absent(api: Api, article: Article) -> None:
    Tag.objects.create(name="admin made this")

    assert api().get(PATH).json() == {"tags": ["dragons", "training"]}


def test_a_tag_can_come_back(api: Api, alice: User, article: Article) -> None:
    path = f"/api/articles/{article.slug}"
    for tags in ([], ["dragons"]):
        api(alice).put(path, {"article": {"tagList": tags}})

    assert api().get(PATH).json() == {"tags": ["dragons"]}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_charlie_cannot_change_tags(api: Api, article: Article, charlie: User, method: str) -> None:
    body = b'{"tag": {"name": "mine"}}'

    response = api(charlie).generic(method, PATH, body, content_type="application/json")

    assert response.status_code == 405
    assert [*response.json()] == ["errors"]
    assert api().get(PATH).json() == {"tags": ["dragons", "training"]}


@pytest.mark.parametrize("rows", [1, 20])
def test_it_runs_one_query(
    api: Api, alice: User, django_assert_num_queries: DjangoAssertNumQueries, rows: int
) -> None:
    for number in range(rows):
        write_article(alice, tags=(f"tag{number}",))

    with django_assert_num_queries(1):  # the tags
        answer = api().get(PATH).json()

    assert len(answer["tags"]) == rows


@pytest.mark.parametrize("rows", [1, 20])
def test_it_runs_one_query_with_a_token_too(
    api: Api, alice: User, django_assert_num_queries: DjangoAssertNumQueries, rows: int
) -> None:
    for number in range(rows):
        write_article(alice, tags=(f"tag{number}",))

    with django_assert_num_queries(1):  # the tags
        answer = api(alice).get(PATH).json()

    assert len(answer["tags"]) == rows
