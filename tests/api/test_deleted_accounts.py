"""An account is deleted while one of its writes runs: every write is answered with 401."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from articles.models import Article, Comment, Favorite
from profiles.models import Follow
from tests.builders import follow, like, make_user, write_article, write_comment
from tests.client import ApiClient
from tests.races import at_once, while_deleting
from users.models import User

pytestmark = pytest.mark.django_db(transaction=True)

Write = Callable[[ApiClient, "Site"], Any]

INVALID = {"errors": {"token": ["is invalid"]}}
ROUNDS = 30
NEW = {"article": {"title": "New", "description": "About it", "body": "A text"}}
# No other write uses these tags: otherwise three writes could deadlock, which is answered with 503.
NEW_WITH_TAGS = {"article": NEW["article"] | {"tagList": ["three", "four"]}}


class Site:
    """Dora, who wrote, favorited and follows, and two articles of Alice."""

    def __init__(self, number: int = 0) -> None:
        self.dora = make_user(f"dora{number}")
        self.alice = make_user(f"alice{number}")
        self.bob = make_user(f"bob{number}")
        self.own = f"/api/articles/{write_article(self.dora, tags=('one',)).slug}"
        article, other = write_article(self.alice), write_article(self.alice)
        self.article = f"/api/articles/{article.slug}"
        self.other = f"/api/articles/{other.slug}"
        self.comment = f"{self.article}/comments/{write_comment(self.dora, article).pk}"
        like(self.dora, other)
        follow(self.dora, self.bob)


WRITES: dict[str, Write] = {
    "publish": lambda api, site: api.post("/api/articles", NEW),
    "publish with tags": lambda api, site: api.post("/api/articles", NEW_WITH_TAGS),
    "edit": lambda api, site: api.put(site.own, {"article": {"body": "Another text"}}),
    "retitle": lambda api, site: api.put(site.own, {"article": {"title": "Another"}}),
    "tag": lambda api, site: api.put(site.own, {"article": {"tagList": ["two"]}}),
    "delete": lambda api, site: api.delete(site.own),
    "comment": lambda api, site: api.post(f"{site.article}/comments", {"comment": {"body": "Hm"}}),
    "delete comment": lambda api, site: api.delete(site.comment),
    "favorite": lambda api, site: api.post(f"{site.article}/favorite"),
    "favorite again": lambda api, site: api.post(f"{site.other}/favorite"),
    "unfavorite": lambda api, site: api.delete(f"{site.other}/favorite"),
    "follow": lambda api, site: api.post(f"/api/profiles/{site.alice.username}/follow"),
    "follow again": lambda api, site: api.post(f"/api/profiles/{site.bob.username}/follow"),
    "unfollow": lambda api, site: api.delete(f"/api/profiles/{site.bob.username}/follow"),
    "change": lambda api, site: api.put("/api/user", {"user": {"bio": "New"}}),
    "rename": lambda api, site: api.put("/api/user", {"user": {"username": "new"}}),
    "new password": lambda api, site: api.put("/api/user", {"user": {"password": "password123"}}),
}


def has_no_rows(user_id: int) -> bool:
    rows = (
        User.objects.filter(pk=user_id),
        Article.objects.filter(author=user_id),
        Comment.objects.filter(author=user_id),
        Favorite.objects.filter(user=user_id),
        Follow.objects.filter(follower=user_id),
    )
    return not any(row.exists() for row in rows)


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_a_write_is_401_when_the_account_is_deleted_meanwhile(write: Write) -> None:
    site = Site()
    user_id, api = site.dora.pk, ApiClient(site.dora)

    answer = while_deleting(site.dora, lambda: write(api, site))

    assert (answer.status_code, answer.json()) == (401, INVALID)
    assert answer.headers["WWW-Authenticate"] == "Token"
    assert has_no_rows(user_id)


@pytest.mark.parametrize("name", ["publish", "comment"])
def test_a_write_with_an_idempotency_key_is_401_too(name: str) -> None:
    site = Site()
    user_id = site.dora.pk
    api = ApiClient(site.dora, headers={"Idempotency-Key": str(uuid.uuid4())})

    answer = while_deleting(site.dora, lambda: WRITES[name](api, site))

    assert (answer.status_code, answer.json()) == (401, INVALID)
    assert has_no_rows(user_id)


@pytest.mark.parametrize(
    "names",
    [{*WRITES} - {"delete", "retitle"}, {"delete"}, {"retitle"}],
    ids=["most", "delete", "retitle"],
)
def test_writes_at_the_same_time_as_the_deletion_leave_no_rows(names: set[str]) -> None:
    refused = 0
    for number in range(ROUNDS):
        site = Site(number)
        user_id, api = site.dora.pk, ApiClient(site.dora)

        def call(name: str, api: ApiClient = api, site: Site = site) -> Callable[[], Any]:
            return lambda: WRITES[name](api, site)

        *answers, _ = at_once([*map(call, names), site.dora.delete])

        for answer in answers:
            assert answer.status_code in (200, 201, 204, 401), (answer.status_code, answer.text)
            if answer.status_code == 401:
                assert answer.json() == INVALID
                refused += 1
        assert has_no_rows(user_id)
    assert refused > 0


@pytest.mark.parametrize("name", ["comment", "favorite"])
def test_an_article_deleted_with_the_account_is_401_not_404(name: str) -> None:
    site = Site()
    path = {"comment": f"{site.own}/comments", "favorite": f"{site.own}/favorite"}[name]
    body = {"comment": {"body": "Hm"}}
    api = ApiClient(site.dora)

    answer = while_deleting(site.dora, lambda: api.post(path, body))

    assert (answer.status_code, answer.json()) == (401, INVALID)


@pytest.mark.parametrize("name", ["comment", "favorite", "unfavorite"])
def test_an_article_of_another_user_deleted_meanwhile_is_404(name: str) -> None:
    site = Site()
    api = ApiClient(site.dora)
    article = Article.objects.get(
        slug=(site.other if name == "unfavorite" else site.article).rpartition("/")[2]
    )

    answer = while_deleting(article, lambda: WRITES[name](api, site))

    assert answer.status_code == 404
    assert answer.json() == {"errors": {"article": ["not found"]}}


def test_unfollow_and_unfavorite_can_be_repeated() -> None:
    site = Site()
    api = ApiClient(site.dora)

    for name in ("unfavorite", "unfollow"):
        assert [WRITES[name](api, site).status_code for _ in range(2)] == [200, 200]
