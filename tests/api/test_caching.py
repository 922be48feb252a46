"""The headers for caches: which responses vary by token, and which are private to one user."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from articles.models import Article
from tests.api.test_authentication import OPTIONAL, REQUIRED
from tests.builders import PASSWORD
from tests.client import ApiClient
from users.models import User

Api = Callable[..., ApiClient]

ORIGIN = {"Origin": "https://front.example"}
BAD = {"Authorization": "Token garbage"}


def vary_names(response: Any) -> list[str]:
    return sorted(name.strip().lower() for name in response.headers.get("Vary", "").split(","))


@pytest.mark.parametrize("path", OPTIONAL)
@pytest.mark.parametrize("headers", [{}, BAD, ORIGIN, BAD | ORIGIN], ids=str)
def test_a_public_read_varies_by_token_and_may_be_cached(
    api: Api, article: Article, path: str, headers: dict[str, str]
) -> None:
    response = api(headers=headers).get(path)

    assert response.status_code == 200
    assert vary_names(response) == ["authorization", "origin"]
    assert "Cache-Control" not in response.headers


@pytest.mark.parametrize("path", [*OPTIONAL, "/api/articles/feed", "/api/user"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_read_with_a_token_is_private(
    api: Api, article: Article, bob: User, method: str, path: str
) -> None:
    response = api(bob).generic(method, path)

    assert response.status_code == 200
    assert vary_names(response) == ["authorization", "origin"]
    assert response.headers["Cache-Control"] == "private, no-cache"


@pytest.mark.parametrize(("method", "path"), REQUIRED)
def test_a_private_endpoint_varies_by_token(api: Api, alice: User, method: str, path: str) -> None:
    for client in (api(), api(headers=BAD)):
        refused = client.generic(method, path, content_type="application/json")

        assert refused.status_code == 401
        assert vary_names(refused) == ["authorization", "origin"]
        assert "Cache-Control" not in refused.headers
    answer = api(alice).generic(method, path, "{}", content_type="application/json")
    assert vary_names(answer) == ["authorization", "origin"]
    assert answer.headers["Cache-Control"] == "private, no-cache"


def test_a_write_is_private(api: Api, article: Article, bob: User) -> None:
    for path, status in [
        (f"/api/articles/{article.slug}/favorite", 200),
        ("/api/articles/nothing/favorite", 404),
    ]:
        response = api(bob).post(path)

        assert response.status_code == status
        assert vary_names(response) == ["authorization", "origin"]
        assert response.headers["Cache-Control"] == "private, no-cache"


@pytest.mark.django_db(transaction=True)
def test_a_repeated_answer_is_private_too(api: Api, bob: User) -> None:
    key = {"Idempotency-Key": str(uuid.uuid4())}
    article = {"title": "Once", "description": "Only", "body": "Once"}

    for body in (article, article, article | {"title": "Another"}):
        response = api(bob).post("/api/articles", {"article": body}, headers=key)

        assert response.status_code == (201 if body is article else 422)
        assert vary_names(response) == ["authorization", "origin"]
        assert response.headers["Cache-Control"] == "private, no-cache"


@pytest.mark.parametrize("headers", [{}, BAD, ORIGIN], ids=str)
def test_endpoints_without_authentication_do_not_vary_by_token(
    api: Api, alice: User, headers: dict[str, str]
) -> None:
    client = api(headers=headers)
    new = {"username": "new", "email": "new@example.com", "password": PASSWORD}
    credentials = {"email": "alice@example.com", "password": PASSWORD}
    answers = [
        (200, client.get("/api/tags")),
        (404, client.get("/api/nothing")),
        (404, api(alice).post("/api/nothing")),
        (201, client.post("/api/users", {"user": new})),
        (200, client.post("/api/users/login", {"user": credentials})),
    ]

    for status, response in answers:
        assert response.status_code == status
        assert vary_names(response) == ["origin"]
        assert "Cache-Control" not in response.headers
        assert "WWW-Authenticate" not in response.headers


def test_pages_do_not_vary_by_token(api: Api) -> None:
    assert vary_names(api(headers=BAD).get("/livez")) == [""]
