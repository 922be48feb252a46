import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from articles.models import Article
from tests.builders import like, write_article, write_comment
from tests.client import ApiClient
from users.models import User

Api = Callable[..., ApiClient]

TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
PUBLISHED = "2016-02-18T03:22:56.637Z"


@pytest.fixture
def published(alice: User) -> Article:
    """An article of 2016, so that `updatedAt` differs visibly after an update."""
    return write_article(
        alice,
        title="How to train your dragon",
        description="Ever wonder how?",
        body="You have to believe",
        tags=("dragons", "training"),
        created_at=datetime.fromisoformat(PUBLISHED),
    )


def path_of(article: Article) -> str:
    return f"/api/articles/{article.slug}"


def test_it_changes_the_whole_article(api: Api, alice: User, published: Article) -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)  # timestamps are cut to milliseconds

    response = api(alice).put(
        path_of(published),
        {
            "article": {
                "title": "How to ride your dragon",
                "description": "Now that it is trained",
                "body": "Hold on",
                "tagList": ["riding", "dragons"],
            }
        },
    )

    assert response.status_code == 200
    shown = response.json()["article"]
    assert response.json() == {
        "article": {
            "slug": Article.objects.get().slug,
            "title": "How to ride your dragon",
            "description": "Now that it is trained",
            "body": "Hold on",
            "tagList": ["dragons", "riding"],
            "createdAt": PUBLISHED,
            "updatedAt": shown["updatedAt"],
            "favorited": False,
            "favoritesCount": 0,
            "author": {"username": "alice", "bio": None, "image": None, "following": False},
        }
    }
    assert TIMESTAMP.fullmatch(shown["updatedAt"])
    assert before <= datetime.fromisoformat(shown["updatedAt"]) <= datetime.now(UTC)
    assert api().get(f"/api/articles/{shown['slug']}").json() == response.json()
    assert api().get(path_of(published)).headers["Location"] == f"/api/articles/{shown['slug']}"


@pytest.mark.parametrize(
    "change",
    [
        {"title": "Another title"},
        {"description": "Another description"},
        {"body": "Another body"},
        {"tagList": ["another"]},
        {"tagList": []},
    ],
)
def test_a_single_field_changes_only_itself_and_updated_at(
    api: Api, alice: User, published: Article, change: dict[str, Any]
) -> None:
    before = api(alice).get(path_of(published)).json()["article"]

    response = api(alice).put(path_of(published), {"article": change})

    assert response.status_code == 200
    shown = response.json()["article"]
    moved = {"updatedAt", "slug"} if "title" in change else {"updatedAt"}
    assert {name for name in shown if shown[name] != before[name]} == {*change, *moved}
    assert {name: shown[name] for name in change} == change
    assert datetime.fromisoformat(shown["updatedAt"]) > datetime.fromisoformat(PUBLISHED)
    assert api(alice).get(f"/api/articles/{shown['slug']}").json()["article"] == shown


def test_updated_at_increases_although_another_machine_has_a_faster_clock(
    api: Api, alice: User, published: Article
) -> None:
    ahead = datetime.now(UTC) + timedelta(hours=1)
    Article.objects.update(created_at=ahead, updated_at=ahead)
    path, change = path_of(published), {"article": {"body": "Two"}}

    created, one, two = (
        datetime.fromisoformat(response.json()["article"]["updatedAt"])
        for response in (api().get(path), *(api(alice).put(path, change) for _ in range(2)))
    )

    assert created < one < two < created + timedelta(seconds=1)


@pytest.mark.parametrize("content", [{}, {"whatever": 1, "slug": "feed", "createdAt": None}])
def test_a_request_without_fields_changes_nothing(
    api: Api, alice: User, published: Article, content: dict[str, object]
) -> None:
    before = api(alice).get(path_of(published)).json()

    response = api(alice).put(path_of(published), {"article": content})

    assert response.status_code == 200
    assert response.json() == before
    assert api(alice).get(path_of(published)).json() == before


def test_the_body_cannot_change_read_only_fields(
    api: Api, alice: User, charlie: User, published: Article
) -> None:
    others = {
        "author": {"username": "charlie"},
        "author_id": charlie.pk,
        "id": 7,
        "slug": "another",
        "createdAt": "2020-01-01T00:00:00.000Z",
        "updatedAt": "2020-01-01T00:00:00.000Z",
        "favorited": True,
        "favoritesCount": 9,
    }
    before = api(alice).get(path_of(published)).json()["article"]

    response = api(alice).put(path_of(published), {"article": {"body": "New", **others}})

    assert response.status_code == 200
    shown = response.json()["article"]
    assert {name for name in shown if shown[name] != before[name]} == {"body", "updatedAt"}
    assert shown["updatedAt"] != others["updatedAt"]


def test_favorites_and_comments_stay_when_the_slug_changes(
    api: Api, alice: User, bob: User, charlie: User, published: Article
) -> None:
    like(alice, published)
    like(bob, published)
    comment = write_comment(charlie, published)

    response = api(alice).put(path_of(published), {"article": {"title": "Renamed"}})

    shown = response.json()["article"]
    assert shown["slug"] != published.slug
    assert (shown["favorited"], shown["favoritesCount"]) == (True, 2)
    comments = api().get(f"/api/articles/{shown['slug']}/comments").json()["comments"]
    assert [shown["id"] for shown in comments] == [comment.pk]


def test_html_is_stored_unchanged(api: Api, alice: User, published: Article) -> None:
    html = "<script>alert('&amp;')</script> <b>bold</b> & \"quoted\""
    content = {"title": html, "description": html, "body": html}

    shown = api(alice).put(path_of(published), {"article": content}).json()["article"]

    assert {name: shown[name] for name in content} == content


def test_white_space_is_trimmed_in_the_title_and_kept_in_other_texts(
    api: Api, alice: User, published: Article
) -> None:
    content = {"title": " \t A  title \n", "description": "  What? \n", "body": "\n\n  Text\t\n"}

    shown = api(alice).put(path_of(published), {"article": content}).json()["article"]

    assert shown["title"] == "A  title"
    assert shown["description"] == "  What? \n"
    assert shown["body"] == "\n\n  Text\t\n"


def test_tags_stay_when_they_are_not_sent(api: Api, alice: User, published: Article) -> None:
    shown = api(alice).put(path_of(published), {"article": {"body": "New"}}).json()["article"]

    assert shown["tagList"] == ["dragons", "training"]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ([], []),
        (["dragons"], ["dragons"]),
        (["riding", "dragons"], ["dragons", "riding"]),
        (["b", "a", "B", "ä", "Z", " a "], ["B", "Z", "a", "b", "ä"]),
        (["Dragons", "DRAGONS"], ["DRAGONS", "Dragons"]),
    ],
)
def test_a_list_of_tags_replaces_the_old_one(
    api: Api, alice: User, published: Article, sent: list[str], kept: list[str]
) -> None:
    response = api(alice).put(path_of(published), {"article": {"tagList": sent}})

    assert response.status_code == 200
    assert response.json()["article"]["tagList"] == kept
    assert api().get(path_of(published)).json()["article"]["tagList"] == kept


def test_tags_of_another_article_stay(api: Api, alice: User, published: Article) -> None:
    other = write_article(alice, tags=("dragons", "training"))

    api(alice).put(path_of(published), {"article": {"tagList": []}})

    shown = api().get(path_of(other)).json()["article"]
    assert shown["tagList"] == ["dragons", "training"]


def test_it_refuses_null_for_tags(api: Api, alice: User, published: Article) -> None:
    response = api(alice).put(path_of(published), {"article": {"tagList": None}})

    assert response.status_code == 422
    assert response.json() == {"errors": {"tagList": ["can't be null"]}}


@pytest.mark.parametrize("field", ["title", "description", "body"])
@pytest.mark.parametrize("blank", [None, "", " ", " \t\r\n ", "\u3000\u00a0"])
def test_it_refuses_a_blank_text(
    api: Api, alice: User, published: Article, field: str, blank: str | None
) -> None:
    response = api(alice).put(path_of(published), {"article": {field: blank}})

    assert response.status_code == 422
    assert response.json() == {"errors": {field: ["can't be blank"]}}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *((field, 1) for field in ("title", "description", "body")),
        *((field, True) for field in ("title", "description", "body")),
        *((field, ["a"]) for field in ("title", "description", "body")),
        *((field, {}) for field in ("title", "description", "body")),
        *((field, "a\0b") for field in ("title", "description", "body")),
        ("title", "a" * 256),
        ("description", "a" * 1_001),
        ("body", "a" * 200_001),
        ("tagList", "dragons"),
        ("tagList", 1),
        ("tagList", {"0": "dragons"}),
        ("tagList", [""]),
        ("tagList", ["good", " "]),
        ("tagList", [1]),
        ("tagList", [None]),
        ("tagList", ["a\0b"]),
        ("tagList", ["a" * 65]),
        ("tagList", [f"tag{number}" for number in range(31)]),
    ],
)
def test_it_refuses_an_invalid_value_and_changes_nothing(
    api: Api, alice: User, published: Article, field: str, value: object
) -> None:
    before = api(alice).get(path_of(published)).json()
    content = {"title": "New", "description": "New", "body": "New", "tagList": ["new"]}

    response = api(alice).put(path_of(published), {"article": content | {field: value}})

    assert response.status_code == 422
    errors = response.json()["errors"]
    assert [*errors] == [field]
    assert errors[field]
    assert all(isinstance(message, str) and message for message in errors[field])
    assert api(alice).get(path_of(published)).json() == before
    assert api().get("/api/tags").json() == {"tags": ["dragons", "training"]}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title", "😀" * 255),
        ("description", "😀" * 1_000),
        ("body", "😀" * 200_000),
        ("tagList", [f"{number:02}" + "a" * 62 for number in range(30)]),
    ],
)
def test_it_accepts_the_longest_value(
    api: Api, alice: User, published: Article, field: str, value: object
) -> None:
    response = api(alice).put(path_of(published), {"article": {field: value}})

    assert response.status_code == 200
    assert response.json()["article"][field] == value


@pytest.mark.parametrize("body", [{}, {"article": None}, {"body": "New"}, {"user": {}}])
def test_it_refuses_a_body_without_an_article(
    api: Api, alice: User, published: Article, body: dict[str, object]
) -> None:
    response = api(alice).put(path_of(published), body)

    assert response.status_code == 422
    assert response.json() == {"errors": {"article": ["can't be blank"]}}


@pytest.mark.parametrize("content", ["text", 1, True, [], [{"body": "New"}]])
def test_it_refuses_an_article_that_is_not_an_object(
    api: Api, alice: User, published: Article, content: object
) -> None:
    response = api(alice).put(path_of(published), {"article": content})

    assert response.status_code == 422
    assert [*response.json()["errors"]] == ["article"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "is not valid JSON"),
        (b'{"article": {"body": "New"}', "is not valid JSON"),
        (b"\xff", "is not valid JSON"),
        (b"[]", "must be an object"),
        (b"null", "must be an object"),
        (b'"New"', "must be an object"),
    ],
)
def test_it_refuses_a_body_that_is_not_a_json_object(
    api: Api, alice: User, published: Article, body: bytes, message: str
) -> None:
    response = api(alice).put(path_of(published), body)

    assert response.status_code == 400
    assert response.json() == {"errors": {"body": [message]}}


def test_it_refuses_a_body_over_2_5_mebibytes(api: Api, alice: User, published: Article) -> None:
    response = api(alice).put(path_of(published), b" " * 2_621_441)

    assert response.status_code == 413
    assert [*response.json()] == ["errors"]


def test_it_accepts_only_json(api: Api, alice: User, published: Article) -> None:
    body = json.dumps({"article": {"body": "New"}}).encode()

    response = api(alice).put(path_of(published), body, content_type="text/plain")

    assert response.status_code == 415
    assert [*response.json()] == ["errors"]


BODIES = [
    b'{"article": {"title": "Mine", "tagList": []}}',
    b'{"article": {}}',
    b'{"article": {"title": ""}}',
    b'{"article": {"tagList": null}}',
    b"{}",
    b"{",
    b"[]",
    b"",
    b" " * 2_621_441,
]


@pytest.mark.parametrize("body", BODIES)
def test_charlie_cannot_change_it_with_any_body(
    api: Api, charlie: User, published: Article, body: bytes
) -> None:
    before = api().get(path_of(published)).json()

    response = api(charlie).put(path_of(published), body)

    assert response.status_code == 403
    assert response.json() == {"errors": {"article": ["forbidden"]}}
    assert api().get(path_of(published)).json() == before


def test_charlie_cannot_change_it_in_another_format(
    api: Api, charlie: User, published: Article
) -> None:
    response = api(charlie).put(path_of(published), b"title=Mine", content_type="text/plain")

    assert response.status_code == 403
    assert response.json() == {"errors": {"article": ["forbidden"]}}


def test_a_follower_who_favorited_it_cannot_change_it_either(
    api: Api, bob: User, published: Article
) -> None:
    like(bob, published)

    response = api(bob).put(path_of(published), {"article": {"body": "Mine"}})

    assert response.status_code == 403
    assert response.json() == {"errors": {"article": ["forbidden"]}}


@pytest.mark.parametrize("body", BODIES)
def test_an_unknown_article_is_404_for_any_body(
    api: Api, alice: User, published: Article, body: bytes
) -> None:
    response = api(alice).put("/api/articles/nothing-of-the-kind", body)

    assert response.status_code == 404
    assert response.json() == {"errors": {"article": ["not found"]}}


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("slug", ["how-to-train-your-dragon", "nothing-of-the-kind"])
def test_it_checks_the_token_first(api: Api, published: Article, body: bytes, slug: str) -> None:
    response = api().put(f"/api/articles/{slug}", body)

    assert response.status_code == 401
    assert response.json() == {"errors": {"token": ["is missing"]}}
