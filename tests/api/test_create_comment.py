import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from articles.models import Article, Comment
from tests.builders import make_user, write_article, write_comment
from tests.client import ApiClient
from users.models import User

Api = Callable[..., ApiClient]

TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
CANT_BE_BLANK = {"errors": {"body": ["can't be blank"]}}


def path_of(article: Article) -> str:
    return f"/api/articles/{article.slug}/comments"


def test_it_comments_on_an_article(api: Api, article: Article, bob: User) -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)  # timestamps are cut to milliseconds

    response = api(bob).post(path_of(article), {"comment": {"body": "Thank you!"}})

    assert response.status_code == 201
    shown = response.json()["comment"]
    assert response.json() == {
        "comment": {
            "id": Comment.objects.get().pk,
            "createdAt": shown["createdAt"],
            "updatedAt": shown["updatedAt"],
            "body": "Thank you!",
            "author": {"username": "bob", "bio": None, "image": None, "following": False},
        }
    }
    assert type(shown["id"]) is int
    for timestamp in (shown["createdAt"], shown["updatedAt"]):
        assert TIMESTAMP.fullmatch(timestamp)
        assert before <= datetime.fromisoformat(timestamp) <= datetime.now(UTC)


def test_everybody_sees_it_afterwards(api: Api, article: Article) -> None:
    dora = make_user("dora", bio="I read.", image="https://example.com/dora.png")

    shown = api(dora).post(path_of(article), {"comment": {"body": "Hm"}}).json()["comment"]

    assert shown["author"]["bio"] == "I read."
    for viewer in (None, dora):
        assert api(viewer).get(path_of(article)).json() == {"comments": [shown]}


def test_the_same_comment_can_be_written_twice(api: Api, article: Article, bob: User) -> None:
    first, second = (
        api(bob).post(path_of(article), {"comment": {"body": "+1"}}).json()["comment"]
        for _ in range(2)
    )

    assert first["id"] != second["id"]
    assert api().get(path_of(article)).json() == {"comments": [second, first]}


def test_authors_may_comment_on_their_own_articles(api: Api, article: Article, alice: User) -> None:
    response = api(alice).post(path_of(article), {"comment": {"body": "By the way"}})

    assert response.status_code == 201
    assert response.json()["comment"]["author"]["username"] == "alice"


def test_charlie_cannot_choose_another_author_or_article(
    api: Api, article: Article, alice: User, bob: User, charlie: User
) -> None:
    theirs = write_comment(bob, article)
    other = write_article(alice)
    before = api().get(path_of(article)).json()["comments"]
    others = {
        "id": theirs.pk,
        "author": {"username": "alice"},
        "author_id": alice.pk,
        "article": other.slug,
        "article_id": other.pk,
        "createdAt": "2016-02-18T03:22:56.637Z",
    }

    response = api(charlie).post(path_of(article), {"comment": {"body": "Mine", **others}})

    assert response.status_code == 201
    shown = response.json()["comment"]
    assert shown["id"] != theirs.pk
    assert shown["author"]["username"] == "charlie"
    assert shown["createdAt"] != others["createdAt"]
    assert api().get(path_of(article)).json()["comments"] == [shown, *before]
    assert api().get(path_of(other)).json() == {"comments": []}


@pytest.mark.parametrize(
    "body",
    [
        "<script>alert('&amp;')</script> <b>bold</b> & \"quoted\"",
        "  white space \n is kept\t\n\n",
        "日本語 😀",
    ],
)
def test_the_text_is_stored_unchanged(api: Api, article: Article, bob: User, body: str) -> None:
    response = api(bob).post(path_of(article), {"comment": {"body": body}})

    assert response.status_code == 201
    assert response.json()["comment"]["body"] == body
    assert api().get(path_of(article)).json()["comments"][0]["body"] == body


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"comment": None},
        {"comment": {}},
        {"body": "Thank you!"},
        {"comment": {"text": "Thank you!"}},
        *({"comment": {"body": blank}} for blank in (None, "", " ", " \t\r\n ", "\u3000\u00a0")),
        *({"comment": {"body": blank}} for blank in ("\u200b\n", "\ufeff", "\u3164", "\u034f")),
    ],
)
def test_it_refuses_a_blank_comment(
    api: Api, article: Article, bob: User, sent: dict[str, Any]
) -> None:
    response = api(bob).post(path_of(article), sent)

    assert response.status_code == 422
    assert response.json() == CANT_BE_BLANK
    assert not Comment.objects.exists()


@pytest.mark.parametrize("body", [1, 1.5, True, False, [], ["a"], {}, "\0", "a\0b", "a" * 10_001])
def test_it_refuses_an_invalid_comment(api: Api, article: Article, bob: User, body: object) -> None:
    response = api(bob).post(path_of(article), {"comment": {"body": body}})

    assert response.status_code == 422
    errors = response.json()["errors"]
    assert [*errors] == ["body"]
    assert errors["body"]
    assert all(isinstance(message, str) and message for message in errors["body"])
    assert not Comment.objects.exists()


@pytest.mark.parametrize("letter", ["a", "ä", "日", "😀"])
def test_a_comment_has_10000_characters_at_most(
    api: Api, article: Article, bob: User, letter: str
) -> None:
    accepted = api(bob).post(path_of(article), {"comment": {"body": letter * 10_000}})
    refused = api(bob).post(path_of(article), {"comment": {"body": letter * 10_001}})

    assert accepted.status_code == 201
    assert accepted.json()["comment"]["body"] == letter * 10_000
    assert refused.status_code == 422
    assert [*refused.json()["errors"]] == ["body"]


def test_half_a_surrogate_pair_is_a_client_error(api: Api, article: Article, bob: User) -> None:
    response = api(bob).post(path_of(article), {"comment": {"body": "a\ud800b"}})

    assert response.status_code in (400, 422)
    assert [*response.json()] == ["errors"]


@pytest.mark.parametrize("content", ["text", 1, True, [], [{"body": "text"}]])
def test_it_refuses_a_comment_that_is_not_an_object(
    api: Api, article: Article, bob: User, content: object
) -> None:
    response = api(bob).post(path_of(article), {"comment": content})

    assert response.status_code == 422
    assert [*response.json()["errors"]] == ["comment"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "is not valid JSON"),
        (b"\xff", "is not valid JSON"),
        (b"[]", "must be an object"),
        (b"null", "must be an object"),
        (b'"Thank you!"', "must be an object"),
    ],
)
def test_it_refuses_a_body_that_is_not_a_json_object(
    api: Api, article: Article, bob: User, body: bytes, message: str
) -> None:
    response = api(bob).post(path_of(article), body)

    assert response.status_code == 400
    assert response.json() == {"errors": {"body": [message]}}


def test_it_refuses_a_body_over_2_5_mebibytes(api: Api, article: Article, bob: User) -> None:
    response = api(bob).post(path_of(article), b" " * 2_621_441)

    assert response.status_code == 413
    assert [*response.json()] == ["errors"]


def test_it_accepts_only_json(api: Api, article: Article, bob: User) -> None:
    body = json.dumps({"comment": {"body": "Thank you!"}}).encode()

    response = api(bob).post(path_of(article), body, content_type="text/plain")

    assert response.status_code == 415
    assert [*response.json()] == ["errors"]


BODIES = [b'{"comment": {"body": "Hi"}}', b'{"comment": {}}', b"{", b"[]", b"", b" " * 2_621_441]


@pytest.mark.parametrize("body", BODIES)
def test_an_unknown_article_is_404_for_any_body(
    api: Api, article: Article, bob: User, body: bytes
) -> None:
    response = api(bob).post("/api/articles/nothing-of-the-kind/comments", body)

    assert response.status_code == 404
    assert response.json() == {"errors": {"article": ["not found"]}}


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("slug", ["how-to-train-your-dragon", "nothing-of-the-kind"])
def test_it_checks_the_token_first(api: Api, article: Article, body: bytes, slug: str) -> None:
    response = api().post(f"/api/articles/{slug}/comments", body)

    assert response.status_code == 401
    assert response.json() == {"errors": {"token": ["is missing"]}}
    assert not Comment.objects.exists()
