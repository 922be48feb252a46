from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from articles.models import Article, Favorite
from tests.builders import like, make_user, write_article
from tests.client import ApiClient
from users.models import User

Api = Callable[..., ApiClient]


def test_it_returns_the_whole_article(api: Api, alice: User, bob: User) -> None:
    article = write_article(
        alice,
        title="How to train your dragon",
        description="Ever wonder how?",
        body="It takes a Jacobian",
        tags=("training", "dragons"),
        created_at=datetime(2016, 2, 18, 3, 22, 56, 637_000, tzinfo=UTC),
    )

    response = api(bob).post(f"/api/articles/{article.slug}/favorite")

    assert response.status_code == 200
    assert response.json() == {
        "article": {
            "slug": article.slug,
            "title": "How to train your dragon",
            "description": "Ever wonder how?",
            "body": "It takes a Jacobian",
            "tagList": ["dragons", "training"],
            "createdAt": "2016-02-18T03:22:56.637Z",
            "updatedAt": "2016-02-18T03:22:56.637Z",  # a favorite is not an update
            "favorited": True,
            "favoritesCount": 1,
            "author": {"username": "alice", "bio": None, "image": None, "following": True},
        }
    }
    assert api(bob).get(f"/api/articles/{article.slug}").json() == response.json()


def test_it_counts_the_favorites_of_all_users(api: Api, article: Article, bob: User) -> None:
    for number in range(4):
        like(make_user(f"reader{number}"), article)

    shown = api(bob).post(f"/api/articles/{article.slug}/favorite").json()["article"]

    assert shown["favoritesCount"] == 5
    assert shown["tagList"] == ["dragons", "training"]


def test_a_second_request_changes_nothing(api: Api, article: Article, bob: User) -> None:
    first = api(bob).post(f"/api/articles/{article.slug}/favorite")
    second = api(bob).post(f"/api/articles/{article.slug}/favorite")

    assert second.status_code == 200
    assert second.json() == first.json()
    assert Favorite.objects.count() == 1


def test_authors_may_favorite_their_own_articles(api: Api, article: Article, alice: User) -> None:
    response = api(alice).post(f"/api/articles/{article.slug}/favorite")

    assert response.status_code == 200
    shown = response.json()["article"]
    assert (shown["favorited"], shown["favoritesCount"]) == (True, 1)
    assert shown["author"]["following"] is False


def test_the_filter_favorited_finds_it(api: Api, article: Article, bob: User) -> None:
    write_article(article.author)

    api(bob).post(f"/api/articles/{article.slug}/favorite")

    answer = api().get("/api/articles?favorited=bob").json()
    assert [shown["slug"] for shown in answer["articles"]] == [article.slug]


def test_charlie_cannot_change_the_favorites_of_others(
    api: Api, article: Article, alice: User, bob: User, charlie: User
) -> None:
    other = write_article(alice)
    like(bob, other)

    body = {"user": "bob", "username": "bob", "favorited": False, "article": {"title": "Mine"}}
    response = api(charlie).post(f"/api/articles/{article.slug}/favorite", body)

    assert response.status_code == 200
    assert response.json()["article"]["title"] == article.title
    assert {*Favorite.objects.values_list("user", "article")} == {
        (bob.pk, other.pk),
        (charlie.pk, article.pk),
    }
    for viewer in (None, alice, bob):
        shown = api(viewer).get(f"/api/articles/{article.slug}").json()["article"]
        assert (shown["favorited"], shown["favoritesCount"]) == (False, 1)


def test_it_does_not_find_an_unknown_slug(api: Api, article: Article, bob: User) -> None:
    response = api(bob).post("/api/articles/nothing-of-the-kind/favorite")

    assert response.status_code == 404
    assert response.json() == {"errors": {"article": ["not found"]}}


def test_it_checks_the_token_first(api: Api, article: Article) -> None:
    for slug in (article.slug, "nothing-of-the-kind"):
        response = api().post(f"/api/articles/{slug}/favorite")

        assert response.status_code == 401
        assert response.json() == {"errors": {"token": ["is missing"]}}
    assert not Favorite.objects.exists()


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH"])
def test_other_methods_are_not_allowed(api: Api, article: Article, bob: User, method: str) -> None:
    path = f"/api/articles/{article.slug}/favorite"

    response = api(bob).generic(method, path, b"{}", content_type="application/json")

    assert response.status_code == 405
    assert [*response.json()] == ["errors"]
