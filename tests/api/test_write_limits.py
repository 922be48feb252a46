"""Writes are limited for each account: ARTICLE_RATE, COMMENT_RATE, FAVORITE_RATE, FOLLOW_RATE."""

from collections.abc import Callable
from typing import Any

import pytest

from articles.models import Article, Comment, Favorite
from tests.client import ApiClient
from users.limits.throttles import RateThrottle
from users.models import User

Api = Callable[..., ApiClient]

TEXTS = {"title": "Dragons", "description": "About them", "body": "A text"}
SLUG = "how-to-train-your-dragon"
# Two writes of each kind.
WRITES: dict[str, list[tuple[str, str, Any]]] = {
    "article": [
        ("post", "/api/articles", {"article": TEXTS}),
        ("put", f"/api/articles/{SLUG}", {"article": {"body": "Another text"}}),
    ],
    "comment": [
        ("post", f"/api/articles/{SLUG}/comments", {"comment": {"body": "Thank you"}}),
        ("delete", f"/api/articles/{SLUG}/comments/1", None),
    ],
    "favorite": [
        ("post", f"/api/articles/{SLUG}/favorite", None),
        ("delete", f"/api/articles/{SLUG}/favorite", None),
    ],
    "follow": [
        ("post", "/api/profiles/bob/follow", None),
        ("delete", "/api/profiles/bob/follow", None),
    ],
}
READS = [f"/api/articles/{SLUG}", f"/api/articles/{SLUG}/comments", "/api/articles/feed"]


def write(client: ApiClient, scope: str, number: int) -> Any:
    method, path, body = WRITES[scope][number % 2]
    return getattr(client, method)(path, body) if body else getattr(client, method)(path)


@pytest.fixture
def low_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    for scope in WRITES:
        monkeypatch.setitem(RateThrottle.THROTTLE_RATES, scope, "2/minute")


@pytest.mark.usefixtures("low_rates", "article")
@pytest.mark.parametrize("scope", WRITES)
def test_each_account_has_a_rate_for_each_kind_of_write(
    api: Api, alice: User, bob: User, scope: str
) -> None:
    for number in range(2):
        assert write(api(alice), scope, number).status_code != 429

    for number in range(2):
        refused = write(api(alice), scope, number)
        assert refused.status_code == 429
        assert refused.json() == {"errors": {"request": ["was throttled"]}}
        assert 1 <= int(refused["Retry-After"]) <= 60

    for path in READS:
        assert api(alice).get(path).status_code == 200
    assert write(api(bob), scope, 0).status_code != 429
    for other in WRITES.keys() - {scope}:
        assert write(api(alice), other, 0).status_code != 429


@pytest.mark.usefixtures("low_rates", "article")
@pytest.mark.parametrize("scope", WRITES)
def test_a_write_without_a_token_is_401_and_not_counted(api: Api, alice: User, scope: str) -> None:
    for _ in range(5):
        assert write(api(), scope, 0).status_code == 401

    assert write(api(alice), scope, 0).status_code != 429


@pytest.mark.usefixtures("low_rates")
def test_a_refused_write_changes_nothing(api: Api, article: Article, charlie: User) -> None:
    for _ in range(4):
        for scope in ("comment", "favorite"):
            write(api(charlie), scope, 0)

    assert Comment.objects.count() == 2
    assert Favorite.objects.count() == 1


@pytest.mark.usefixtures("article")
@pytest.mark.parametrize("scope", WRITES)
def test_an_empty_rate_means_no_limit(
    api: Api, alice: User, bob: User, scope: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RateThrottle.THROTTLE_RATES, scope, None)

    assert 429 not in {write(api(alice), scope, number).status_code for number in range(6)}


@pytest.mark.usefixtures("low_rates", "article")
def test_a_repeated_answer_is_not_counted(api: Api, bob: User) -> None:
    client = api(bob, headers={"Idempotency-Key": "one"})

    answers = [write(client, "comment", 0) for _ in range(5)]

    assert [answer.status_code for answer in answers] == [201] * 5


@pytest.mark.usefixtures("low_rates", "article")
def test_a_refusal_is_not_kept_for_the_key(
    api: Api, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        write(api(bob), "comment", 0)
    client = api(bob, headers={"Idempotency-Key": "one"})
    assert write(client, "comment", 0).status_code == 429
    monkeypatch.setitem(RateThrottle.THROTTLE_RATES, "comment", "9/minute")

    assert write(client, "comment", 0).status_code == 201
