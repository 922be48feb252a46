"""A POST that is sent again with the same `Idempotency-Key`."""

import json
import random
import string
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.urls import path
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from articles import urls as articles
from articles.models import Article, Comment, Favorite
from articles.views import ArticleViewSet, CommentViewSet
from database.models import EXPIRED_PER_REQUEST, MAX_BYTES, IdempotencyKey
from profiles import urls as profiles
from profiles.models import Follow
from profiles.views import ProfileViewSet
from tests.builders import PASSWORD, like, make_user, write_article, write_comment
from tests.client import ApiClient
from users import tokens
from users import urls as users
from users.authentication import TokenAuthentication
from users.limits.throttles import RateThrottle
from users.models import User

Api = Callable[..., ApiClient]

ARTICLES = "/api/articles"
ARTICLE = "/api/articles/how-to-train-your-dragon"
NEW_ARTICLE = {
    "article": {"title": "New", "description": "About it", "body": "A text", "tagList": ["a"]}
}
INVALID = {"errors": {"idempotencyKey": ["is invalid"]}}
REUSED = {"errors": {"idempotencyKey": ["was used with another request"]}}


def send(client: ApiClient, path: str, data: Any = b"", key: str = "one") -> Any:
    return client.post(path, data, headers={"Idempotency-Key": key})


def assert_same(first: Any, second: Any) -> None:
    assert second.status_code == first.status_code
    assert second.content == first.content
    own = {"X-Request-Id": ""}
    assert {**second.headers, **own} == {**first.headers, **own}


def set_created_at(sent_at: datetime) -> None:
    """Set the creation time of every kept answer."""
    IdempotencyKey.objects.update(created_at=sent_at)


def test_an_article_sent_twice_is_created_once(api: Api, alice: User) -> None:
    first = send(api(alice), ARTICLES, NEW_ARTICLE)
    second = send(api(alice), ARTICLES, NEW_ARTICLE)

    assert first.status_code == 201
    assert first.json()["article"]["slug"] == "new"
    assert_same(first, second)
    assert Article.objects.count() == 1


def test_a_comment_sent_twice_is_created_once(api: Api, bob: User, article: Article) -> None:
    comment = {"comment": {"body": "Thank you!"}}

    first = send(api(bob), f"{ARTICLE}/comments", comment)
    second = send(api(bob), f"{ARTICLE}/comments", comment)

    assert first.status_code == 201
    assert_same(first, second)
    assert Comment.objects.count() == 1


def test_a_repeated_favorite_gets_the_first_answer_despite_later_changes(
    api: Api, bob: User, charlie: User, article: Article
) -> None:
    first = send(api(bob), f"{ARTICLE}/favorite")
    api(bob).delete(f"{ARTICLE}/favorite")
    like(charlie, article)
    second = send(api(bob), f"{ARTICLE}/favorite")

    assert first.status_code == 200
    assert first.json()["article"]["favoritesCount"] == 1
    assert_same(first, second)
    assert [favorite.user for favorite in Favorite.objects.all()] == [charlie]


def test_a_repeated_follow_gets_the_first_answer_despite_later_changes(
    api: Api, alice: User, charlie: User
) -> None:
    first = send(api(charlie), "/api/profiles/alice/follow")
    api(charlie).delete("/api/profiles/alice/follow")
    second = send(api(charlie), "/api/profiles/alice/follow")

    assert first.status_code == 200
    assert first.json()["profile"]["following"] is True
    assert_same(first, second)
    assert not Follow.objects.exists()


def test_the_first_answer_is_repeated_after_the_object_is_deleted(
    api: Api, alice: User, article: Article
) -> None:
    comment = {"comment": {"body": "Thank you!"}}
    first = send(api(alice), f"{ARTICLE}/comments", comment)
    article.delete()

    assert_same(first, send(api(alice), f"{ARTICLE}/comments", comment))


def test_without_a_key_the_write_is_done_again(api: Api, alice: User) -> None:
    answers = [api(alice).post(ARTICLES, NEW_ARTICLE) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert Article.objects.count() == 2
    assert not IdempotencyKey.objects.exists()


def test_the_query_string_is_not_part_of_the_request(api: Api, alice: User) -> None:
    first = send(api(alice), f"{ARTICLES}?try=1", NEW_ARTICLE)

    assert_same(first, send(api(alice), f"{ARTICLES}?try=2", NEW_ARTICLE))


def test_another_token_of_the_same_user_gets_the_same_answer(
    api: Api, alice: User, settings: Settings
) -> None:
    first = send(api(alice), ARTICLES, NEW_ARTICLE)
    settings.TOKEN_LIFETIME = timedelta(days=1)
    bearer = ApiClient(headers={"Authorization": f"Bearer {tokens.issue(alice.pk)}"})

    assert_same(first, send(bearer, ARTICLES, NEW_ARTICLE))


@pytest.mark.parametrize(
    "body",
    [
        {"article": NEW_ARTICLE["article"] | {"title": "Newer"}},
        NEW_ARTICLE | {"unknown": 1},
        json.dumps(NEW_ARTICLE, indent=1).encode(),
    ],
)
def test_a_key_is_refused_with_another_body(api: Api, alice: User, body: Any) -> None:
    first = send(api(alice), ARTICLES, NEW_ARTICLE)

    second = send(api(alice), ARTICLES, body)

    assert (second.status_code, second.json()) == (422, REUSED)
    assert Article.objects.count() == 1
    assert_same(first, send(api(alice), ARTICLES, NEW_ARTICLE))


def test_an_empty_body_and_an_empty_object_are_different_bodies(
    api: Api, bob: User, article: Article
) -> None:
    send(api(bob), f"{ARTICLE}/favorite")
    api(bob).delete(f"{ARTICLE}/favorite")

    answer = send(api(bob), f"{ARTICLE}/favorite", {})

    assert (answer.status_code, answer.json()) == (422, REUSED)
    assert not Favorite.objects.exists()


def test_each_user_path_and_key_has_its_own_answer(
    api: Api, alice: User, bob: User, article: Article
) -> None:
    write_article(alice, title="Another")
    comment = {"comment": {"body": "Thank you!"}}
    requests = [
        (bob, f"{ARTICLE}/comments", "one"),
        (alice, f"{ARTICLE}/comments", "one"),
        (bob, "/api/articles/another/comments", "one"),
        (bob, f"{ARTICLE}/comments", "ONE"),
        (bob, f"{ARTICLE}/comments", "one, two"),
    ]

    for user, where, key in requests * 2:
        assert send(api(user), where, comment, key).status_code == 201

    assert Comment.objects.count() == IdempotencyKey.objects.count() == len(requests)


def test_charlie_does_not_get_the_answer_of_bob(
    api: Api, bob: User, charlie: User, article: Article
) -> None:
    send(api(bob), f"{ARTICLE}/comments", {"comment": {"body": "Between us"}})

    answer = send(api(charlie), f"{ARTICLE}/comments", {"comment": {"body": "Hello?"}})

    assert answer.status_code == 201
    assert answer.json()["comment"]["author"]["username"] == "charlie"


BAD_KEYS = ["", "x" * 256, "schlüssel", "ключ", "a\tb", "a\nb", "a\x00b", "\x7f"]


@pytest.mark.parametrize("key", BAD_KEYS, ids=ascii)
def test_a_key_that_is_not_1_to_255_printable_ascii_characters_is_refused(
    api: Api, bob: User, article: Article, key: str
) -> None:
    for where in (f"{ARTICLE}/favorite", "/api/profiles/alice/follow"):
        answer = send(api(bob), where, key=key)

        assert (answer.status_code, answer.json()) == (422, INVALID)
    assert not Favorite.objects.exists()
    assert not IdempotencyKey.objects.exists()


@pytest.mark.parametrize("key", ["1", "x" * 255, "b0f3f1f6-8d1c-4a6a-9a4e-0f9c5e0d7e11", '"~ !"'])
def test_a_key_of_1_to_255_printable_ascii_characters_is_accepted(
    api: Api, bob: User, article: Article, key: str
) -> None:
    first, second = (
        send(api(bob), f"{ARTICLE}/comments", {"comment": {"body": "!"}}, key) for _ in range(2)
    )

    assert_same(first, second)
    assert Comment.objects.count() == 1


@pytest.mark.parametrize("key", ["", "one"])
def test_the_errors_of_the_view_come_before_the_errors_of_the_key(
    api: Api, alice: User, article: Article, key: str
) -> None:
    """The key is empty, or was used with another body."""
    client, comments = api(alice), f"{ARTICLE}/comments"
    send(client, comments, {"comment": {"body": "First"}})
    send(client, "/api/profiles/alice/follow")

    for response, status, error in (
        (send(api(), comments, b"", key), 401, {"token": ["is missing"]}),
        (send(client, "/api/articles/no/comments", b"", key), 404, {"article": ["not found"]}),
        (send(client, "/api/unknown", b"", key), 404, {"path": ["not found"]}),
        (send(client, "/api/user", b"", key), 405, {"method": ["is not allowed"]}),
        (send(client, comments, b"{", key), 400, {"body": ["is not valid JSON"]}),
        (send(client, comments, {"comment": {}}, key), 422, {"body": ["can't be blank"]}),
    ):
        assert (response.status_code, response.json()) == (status, {"errors": error})
    assert Comment.objects.count() == 1


def test_paths_of_impossible_slugs_are_404(api: Api, alice: User) -> None:
    for slug in ("%00", "%FF", "%20" * 400, "x" * 5000):
        answer = send(api(alice), f"/api/articles/{slug}/favorite")

        assert (answer.status_code, answer.json()) == (404, {"errors": {"article": ["not found"]}})


def test_a_key_can_be_used_again_after_an_error(api: Api, alice: User) -> None:
    wrong = send(api(alice), ARTICLES, {"article": {"title": "New"}})
    assert wrong.status_code == 422
    assert not IdempotencyKey.objects.exists()

    assert send(api(alice), ARTICLES, NEW_ARTICLE).status_code == 201


def test_a_404_is_not_kept(api: Api, alice: User) -> None:
    assert send(api(alice), f"{ARTICLE}/favorite").status_code == 404
    write_article(alice, title="How to train your dragon")

    assert send(api(alice), f"{ARTICLE}/favorite").status_code == 200


def test_a_500_is_not_kept_and_its_writes_are_rolled_back(
    api: Api, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = api(alice, raise_request_exception=False)
    with monkeypatch.context() as patched:
        patched.setattr("articles.views.ArticleViewSet.represent", lambda view, row: 1 / 0)

        assert send(client, ARTICLES, NEW_ARTICLE).status_code == 500
    assert not Article.objects.exists()
    assert not IdempotencyKey.objects.exists()

    assert send(client, ARTICLES, NEW_ARTICLE).status_code == 201


def test_a_body_that_is_too_large_is_413(api: Api, bob: User, article: Article) -> None:
    answer = send(api(bob), f"{ARTICLE}/comments", b" " * (2_621_440 + 1))

    assert answer.status_code == 413


def test_registration_and_login_ignore_the_key(api: Api, alice: User) -> None:
    user = {"username": "dora", "email": "dora@example.com", "password": PASSWORD}
    credentials = {"user": {"email": "alice@example.com", "password": PASSWORD}}

    for key in ("one", ""):
        assert send(api(alice), "/api/users/login", credentials, key).status_code == 200
    assert send(api(alice), "/api/users", {"user": user}).status_code == 201
    assert send(api(alice), "/api/users", {"user": user}).status_code == 409
    assert not IdempotencyKey.objects.exists()


@pytest.mark.parametrize("key", ["one", ""])
@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({}, "is missing"),
        ({"Authorization": "Token garbage"}, "is invalid"),
        ({"Authorization": "Basic YTpi"}, "is invalid"),
    ],
)
def test_without_a_valid_token_the_key_is_ignored(
    article: Article, header: dict[str, str], message: str, key: str
) -> None:
    answer = send(ApiClient(headers=header), f"{ARTICLE}/favorite", key=key)

    assert (answer.status_code, answer.json()) == (401, {"errors": {"token": [message]}})


def test_an_expired_token_does_not_get_the_kept_answer(
    api: Api, alice: User, settings: Settings
) -> None:
    assert send(api(alice), ARTICLES, NEW_ARTICLE).status_code == 201
    settings.TOKEN_LIFETIME = timedelta(seconds=-31)

    answer = send(api(alice), ARTICLES, NEW_ARTICLE)

    assert (answer.status_code, answer.json()) == (401, {"errors": {"token": ["has expired"]}})


def test_an_inactive_user_does_not_get_the_kept_answer(api: Api, alice: User) -> None:
    assert send(api(alice), ARTICLES, NEW_ARTICLE).status_code == 201
    User.objects.filter(pk=alice.pk).update(is_active=False)

    answer = send(api(alice), ARTICLES, NEW_ARTICLE)

    assert (answer.status_code, answer.json()) == (401, {"errors": {"token": ["is invalid"]}})


def test_other_methods_ignore_the_key(api: Api, alice: User, article: Article) -> None:
    comment = write_comment(alice, article)
    for method, where, body, status in (
        ("GET", ARTICLE, {}, 200),
        ("PUT", ARTICLE, {"article": {"body": "1"}}, 200),
        ("PUT", ARTICLE, {"article": {"body": "2"}}, 200),
        ("PUT", "/api/user", {"user": {"bio": "3"}}, 200),
        ("DELETE", f"{ARTICLE}/comments/{comment.pk}", {}, 204),
        ("DELETE", f"{ARTICLE}/comments/{comment.pk}", {}, 404),
    ):
        client = api(alice, headers={"Idempotency-Key": ""})
        answer = client.generic(method, where, json.dumps(body), content_type="application/json")

        assert answer.status_code == status
    assert Article.objects.get().body == "2"
    assert not IdempotencyKey.objects.exists()


def test_pages_ignore_the_key(api: Api, alice: User) -> None:
    for where, status in (("/admin/login/", 200), ("/nothing", 404)):
        answer = send(api(alice), where, key="")

        assert answer.status_code == status
        assert "text/html" in answer.headers["Content-Type"]


def test_a_preflight_allows_the_header(api: Api) -> None:
    answer = api().options(
        ARTICLES,
        headers={
            "Origin": "https://front.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type,idempotency-key",
        },
    )

    allowed = answer.headers["Access-Control-Allow-Headers"].split(", ")
    assert {"authorization", "content-type", "idempotency-key"} <= {*allowed}


def test_an_answer_is_kept_for_a_day(api: Api, alice: User) -> None:
    first = send(api(alice), ARTICLES, NEW_ARTICLE)
    set_created_at(timezone.now() - timedelta(hours=23, minutes=59))
    assert_same(first, send(api(alice), ARTICLES, NEW_ARTICLE))

    set_created_at(timezone.now() - timedelta(hours=24))
    second = send(api(alice), ARTICLES, NEW_ARTICLE)

    assert second.status_code == 201
    assert second.json()["article"]["slug"] != first.json()["article"]["slug"]
    assert Article.objects.count() == 2
    assert_same(second, send(api(alice), ARTICLES, NEW_ARTICLE))


def create_expired_answers(user: User, count: int) -> None:
    """Create this many kept answers of the year 2000."""
    long_ago = datetime(2000, 1, 1, tzinfo=UTC)
    IdempotencyKey.objects.bulk_create(
        IdempotencyKey(user=user, method="POST", path="/", key=str(n), created_at=long_ago)
        for n in range(count)
    )


def test_an_expired_answer_is_ignored_before_it_is_deleted(
    api: Api, alice: User, bob: User
) -> None:
    send(api(alice), ARTICLES, NEW_ARTICLE)
    set_created_at(timezone.now() - timedelta(hours=25))
    create_expired_answers(bob, EXPIRED_PER_REQUEST)  # older, so they are deleted first
    corrected = {"article": NEW_ARTICLE["article"] | {"title": "Newer"}}

    second = send(api(alice), ARTICLES, corrected)

    assert second.status_code == 201
    assert_same(second, send(api(alice), ARTICLES, corrected))
    assert IdempotencyKey.objects.count() == 1


def test_expired_answers_are_deleted_in_batches(api: Api, alice: User, bob: User) -> None:
    create_expired_answers(bob, 2 * EXPIRED_PER_REQUEST + 1)

    left = []
    for key in ("1", "2", "3"):
        send(api(alice), ARTICLES, NEW_ARTICLE, key)
        left.append(IdempotencyKey.objects.filter(user=bob).count())

    assert left == [EXPIRED_PER_REQUEST + 1, 1, 0]
    assert IdempotencyKey.objects.filter(user=alice).count() == 3


def test_an_index_finds_the_expired_answers(alice: User) -> None:
    create_expired_answers(alice, 1000)
    IdempotencyKey.objects.filter(key__gt="1").update(created_at=timezone.now())

    with connection.cursor() as cursor:
        cursor.execute("ANALYZE database_idempotencykey")
        cursor.execute(
            "EXPLAIN SELECT id FROM database_idempotencykey WHERE created_at <= %s"
            " ORDER BY created_at LIMIT 30 FOR UPDATE SKIP LOCKED",
            [timezone.now() - timedelta(hours=24)],
        )
        plan = " ".join(line for (line,) in cursor.fetchall())

    assert "oldest_idempotency_keys" in plan
    assert "Sort" not in plan


def test_the_table_stores_the_answer_and_not_the_request_body(
    api: Api, bob: User, article: Article
) -> None:
    body = {"comment": {"body": "Thank you!", "unknown": "a secret"}}
    send(api(bob), f"{ARTICLE}/comments", body)

    with connection.cursor() as cursor:
        cursor.execute("SELECT kept::text, content FROM database_idempotencykey kept")
        row, compressed = cursor.fetchone()
    content = zlib.decompress(compressed).decode()

    assert "Thank you!" in content
    assert "secret" not in row + content


def test_the_hash_of_a_body_depends_on_the_secret_key(
    api: Api, bob: User, article: Article, settings: Settings
) -> None:
    send(api(bob), f"{ARTICLE}/favorite")
    settings.SECRET_KEY = "another key, of 256 bits or more, as the standard asks for"
    send(api(bob), f"{ARTICLE}/favorite", key="two")

    assert IdempotencyKey.objects.values("body_hmac").distinct().count() == 2


def test_kept_answers_are_deleted_with_their_user(api: Api, alice: User, bob: User) -> None:
    send(api(alice), ARTICLES, NEW_ARTICLE)
    send(api(bob), ARTICLES, NEW_ARTICLE)

    alice.delete()

    assert [row.user for row in IdempotencyKey.objects.all()] == [bob]


def test_a_key_is_unique(alice: User) -> None:
    create_expired_answers(alice, 1)

    with pytest.raises(IntegrityError, match="idempotency_key_once"), transaction.atomic():
        create_expired_answers(alice, 1)


LONG = "".join(random.Random(7).choices(string.printable, k=200_000))  # noqa: S311 -- no secret


def kept_bytes(user: User) -> int:
    """The size of the kept bodies of this user, in bytes."""
    rows = IdempotencyKey.objects.filter(user=user).exclude(content=None)
    return sum(len(row.content or b"") for row in rows)


def drop_bodies() -> None:
    assert IdempotencyKey.objects.exclude(object_id=None).update(content=None)


def test_a_kept_body_is_compressed(api: Api, bob: User, article: Article) -> None:
    Article.objects.update(body="All work and no play. " * 9_000)

    first = send(api(bob), f"{ARTICLE}/favorite")

    assert len(first.content) > 190_000
    assert kept_bytes(bob) < 2_000
    assert_same(first, send(api(bob), f"{ARTICLE}/favorite"))


def test_an_uncompressed_kept_body_is_repeated(api: Api, bob: User, article: Article) -> None:
    first = send(api(bob), f"{ARTICLE}/favorite")
    IdempotencyKey.objects.update(
        content=first.content, headers={"Content-Type": "application/json"}, object_id=None
    )

    second = send(api(bob), f"{ARTICLE}/favorite")

    assert (second.status_code, second.content) == (200, first.content)


def test_kept_bodies_have_a_quota_in_bytes_and_keys_have_none(
    api: Api, alice: User, bob: User, article: Article
) -> None:
    Article.objects.update(body=LONG)
    other = send(api(alice), f"{ARTICLE}/favorite", key="other")

    answers = [send(api(bob), f"{ARTICLE}/favorite", key=str(n)) for n in range(50)]

    assert kept_bytes(bob) <= MAX_BYTES
    assert IdempotencyKey.objects.filter(user=bob).count() == 50
    kept = IdempotencyKey.objects.filter(user=bob).order_by("created_at")
    dropped = [row.content is None for row in kept]
    assert dropped == sorted(dropped, reverse=True)  # the oldest bodies are dropped first
    assert dropped.count(False) >= 4
    api(bob).delete(f"{ARTICLE}/favorite")
    for n, first in enumerate(answers[:3]):
        again = send(api(bob), f"{ARTICLE}/favorite", key=str(n))
        assert again.status_code == 200
        # The answer shows the current state: the write is not done again.
        changed = {"favorited": False, "favoritesCount": 1}
        assert again.json()["article"] == first.json()["article"] | changed
    assert_same(answers[-1], send(api(bob), f"{ARTICLE}/favorite", key="49"))
    assert_same(other, send(api(alice), f"{ARTICLE}/favorite", key="other"))


def test_kept_bodies_have_a_quota_in_number(
    api: Api, bob: User, article: Article, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("database.models.MAX_BODIES", 3)

    for n in range(8):
        send(api(bob), f"{ARTICLE}/favorite", key=str(n))

    kept = IdempotencyKey.objects.exclude(content=None).order_by("created_at")
    assert [row.key for row in kept] == ["5", "6", "7"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (ARTICLES, NEW_ARTICLE),
        (f"{ARTICLE}/comments", {"comment": {"body": "Thank you!"}}),
        (f"{ARTICLE}/favorite", b""),
        ("/api/profiles/alice/follow", b""),
    ],
)
def test_an_answer_without_its_body_is_rebuilt(
    api: Api, bob: User, article: Article, path: str, body: Any
) -> None:
    first = send(api(bob), path, body)
    drop_bodies()

    assert_same(first, send(api(bob), path, body))
    assert_same(first, send(api(bob), path, body))
    written = (Article.objects.count(), Comment.objects.count(), Favorite.objects.count())
    assert sum(written) == (1 if "profiles" in path else 2)


def test_rebuilding_an_answer_does_not_count_against_the_rate(
    api: Api, bob: User, article: Article, monkeypatch: pytest.MonkeyPatch
) -> None:
    for scope in ("article", "favorite"):
        monkeypatch.setitem(RateThrottle.THROTTLE_RATES, scope, "1/minute")
    first = send(api(bob), f"{ARTICLE}/favorite")
    drop_bodies()

    for _ in range(3):
        assert_same(first, send(api(bob), f"{ARTICLE}/favorite"))


def test_every_view_that_keeps_answers_can_rebuild_them() -> None:
    patterns = articles.urlpatterns + profiles.urlpatterns + users.urlpatterns
    views: list[Any] = [pattern.callback for pattern in patterns]
    viewsets = {
        view.cls
        for view in views
        if "post" in getattr(view, "actions", {})
        and TokenAuthentication in view.cls.authentication_classes
    }

    assert viewsets == {ArticleViewSet, CommentViewSet, ProfileViewSet}
    assert all(hasattr(viewset, "rebuild") for viewset in viewsets)


def test_an_answer_is_rebuilt_after_the_object_is_renamed(
    api: Api, alice: User, bob: User, article: Article
) -> None:
    send(api(bob), f"{ARTICLE}/favorite")
    send(api(bob), f"{ARTICLE}/comments", {"comment": {"body": "Thank you!"}})
    send(api(bob), "/api/profiles/alice/follow")
    drop_bodies()
    api(alice).put(ARTICLE, {"article": {"title": "Another title"}})
    api(alice).put("/api/user", {"user": {"username": "alicia"}})

    favorite = send(api(bob), f"{ARTICLE}/favorite")
    comment = send(api(bob), f"{ARTICLE}/comments", {"comment": {"body": "Thank you!"}})
    follow = send(api(bob), "/api/profiles/alice/follow")

    assert (favorite.status_code, comment.status_code, follow.status_code) == (200, 201, 200)
    assert favorite.json()["article"]["slug"] == "another-title"
    assert follow.json()["profile"]["username"] == "alicia"
    assert Comment.objects.count() == 1


def test_a_deleted_object_is_404_and_is_not_created_again(
    api: Api, alice: User, bob: User, article: Article
) -> None:
    comment = {"comment": {"body": "Thank you!"}}
    created = send(api(bob), ARTICLES, NEW_ARTICLE)
    send(api(bob), f"{ARTICLE}/comments", comment)
    send(api(bob), f"{ARTICLE}/favorite")
    drop_bodies()
    Article.objects.all().delete()
    write_article(alice, title="How to train your dragon")  # another article with the same slug

    for where, body, noun in (
        (ARTICLES, NEW_ARTICLE, "article"),
        (f"{ARTICLE}/comments", comment, "comment"),
        (f"{ARTICLE}/favorite", b"", "article"),
    ):
        again = send(api(bob), where, body)
        assert (again.status_code, again.json()) == (404, {"errors": {noun: ["not found"]}})
    assert created.status_code == 201
    assert Article.objects.count() == 1
    assert not Comment.objects.exists()
    assert not Favorite.objects.exists()


@pytest.mark.parametrize(
    ("hidden", "found"),
    [
        ("comment", {"favorite", "follow"}),
        ("article", {"follow"}),
        ("author", set()),
    ],
)
def test_a_rebuilt_answer_shows_nothing_hidden(
    api: Api, alice: User, bob: User, article: Article, hidden: str, found: set[str]
) -> None:
    requests = {
        "comments": (f"{ARTICLE}/comments", {"comment": {"body": "Thank you!"}}),
        "favorite": (f"{ARTICLE}/favorite", b""),
        "follow": ("/api/profiles/alice/follow", b""),
    }
    for request in requests.values():
        send(api(bob), *request)
    drop_bodies()
    rows = {"comment": Comment.objects, "article": Article.objects, "author": User.objects}
    pk = alice.pk if hidden == "author" else rows[hidden].get().pk
    rows[hidden].filter(pk=pk).update(hidden_at=timezone.now())

    answers = {name: send(api(bob), *request) for name, request in requests.items()}

    assert {name for name, answer in answers.items() if answer.status_code != 404} == found


def test_an_index_finds_the_newest_answers_of_a_user(alice: User) -> None:
    for user in (alice, *(make_user(f"reader{n}") for n in range(9))):
        create_expired_answers(user, 500)

    with connection.cursor() as cursor:
        cursor.execute("ANALYZE database_idempotencykey")
        cursor.execute(
            "EXPLAIN SELECT id FROM database_idempotencykey WHERE user_id = %s AND id <> 1"
            " ORDER BY created_at DESC LIMIT 100",
            [alice.pk],
        )
        plan = " ".join(line for (line,) in cursor.fetchall())

    assert "newest_idempotency_keys" in plan
    assert "Sort" not in plan


def test_a_key_adds_seven_queries_and_a_repeated_answer_takes_seven(
    api: Api, bob: User, article: Article, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    comment = {"comment": {"body": "Thank you!"}}

    with django_assert_num_queries(3):  # the user behind the token, the article's id, the comment
        api(bob).post(f"{ARTICLE}/comments", comment)

    # The user, expired answers, SAVEPOINT (BEGIN in production), SET CONSTRAINTS, the key, the
    # three queries of the view, the kept answer, RELEASE SAVEPOINT (COMMIT in production).
    with django_assert_num_queries(10):
        send(api(bob), f"{ARTICLE}/comments", comment)

    # The user, expired answers, SAVEPOINT, SET CONSTRAINTS, the key, the kept answer,
    # RELEASE SAVEPOINT.
    with django_assert_num_queries(7):
        send(api(bob), f"{ARTICLE}/comments", comment)


class SwallowsIntegrityError(APIView):
    """A view that ignores an error which has aborted the transaction."""

    envelope = "nothing"

    def post(self, request: Request) -> Response:
        try:
            make_user("alice")
        except IntegrityError:
            return Response({})
        raise AssertionError


urlpatterns = [path("api/careless", SwallowsIntegrityError.as_view())]


@pytest.mark.urls(__name__)
def test_a_view_that_breaks_its_transaction_is_answered_with_500(
    api: Api, alice: User, caplog: pytest.LogCaptureFixture
) -> None:
    answer = send(api(alice, raise_request_exception=False), "/api/careless")

    assert answer.status_code == 500
    assert not IdempotencyKey.objects.exists()
    assert "TransactionManagementError" in caplog.text
