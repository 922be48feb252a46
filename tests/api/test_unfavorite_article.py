from collections.abc import Callable
from datetime import UTC, datetime

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
    like(bob, article)

    response = api(bob).delete(f"/api/articles/{article.slug}/favorite")

    assert response.status_code == 200
    assert response.json() == {
        "article": {
            "slug": article.slug,
            "title": "How to train your dragon",
            "description": "Ever wonder how?",
            "body": "It takes a Jacobian",
            "tagList": ["dragons", "training"],
            "createdAt": "2016-02-18T03:22:56.637Z",
            "updatedAt": "2016-02-18T03:22:56.637Z",  # this is not an update
            "favorited": False,
            "favoritesCount": 0,
            "author": {"username": "alice", "bio": None, "image": None, "following": True},
        }
    }
    assert api(bob).get(f"/api/articles/{article.slug}").json() == response.json()


def test_the_favorites_of_others_stay(api: Api, article: Article, bob: User) -> None:
    like(bob, article)
    for number in range(4):
        like(make_user(f"reader{number}"), article)

    shown = api(bob).delete(f"/api/articles/{article.slug}/favorite").json()["article"]

    assert shown["favoritesCount"] == 4
    assert api().get("/api/articles?favorited=bob").json()["articlesCount"] == 0
    assert api().get("/api/articles?favorited=reader0").json()["articlesCount"] == 1


def test_a_second_request_changes_nothing(api: Api, article: Article, bob: User) -> None:
    like(bob, article)

    first = api(bob).delete(f"/api/articles/{article.slug}/favorite")
    second = api(bob).delete(f"/api/articles/{article.slug}/favorite")

    assert second.status_code == 200
    assert second.json() == first.json()


def test_authors_may_unfavorite_their_own_articles(api: Api, article: Article, alice: User) -> None:
    like(alice, article)

    response = api(alice).delete(f"/api/articles/{article.slug}/favorite")

    assert response.status_code == 200
    shown = response.json()["article"]
    assert (shown["favorited"], shown["favoritesCount"]) == (False, 0)


def test_other_favorites_of_the_same_user_stay(api: Api, article: Article, bob: User) -> None:
    other = write_article(article.author)
    like(bob, article)
    like(bob, other)

    api(bob).delete(f"/api/articles/{article.slug}/favorite")

    assert api(bob).get(f"/api/articles/{other.slug}").json()["article"]["favorited"] is True


def test_charlie_cannot_remove_the_favorites_of_others(
    api: Api, article: Article, alice: User, bob: User, charlie: User
) -> None:
    like(alice, article)
    like(bob, article)

    response = api(charlie).delete(f"/api/articles/{article.slug}/favorite")

    assert response.status_code == 200
    shown = response.json()["article"]
    assert (shown["favorited"], shown["favoritesCount"]) == (False, 2)
    assert {*Favorite.objects.values_list("user", flat=True)} == {alice.pk, bob.pk}


def test_it_does_not_find_an_unknown_slug(api: Api, article: Article, bob: User) -> None:
    response = api(bob).delete("/api/articles/nothing-of-the-kind/favorite")

    assert response.status_code == 404
    assert response.json() == {"errors": {"article": ["not found"]}}


def test_it_checks_the_token_first(api: Api, article: Article, bob: User) -> None:
    like(bob, article)

    for slug in (article.slug, "nothing-of-the-kind"):
        response = api().delete(f"/api/articles/{slug}/favorite")

        assert response.status_code == 401
        assert response.json() == {"errors": {"token": ["is missing"]}}
    assert Favorite.objects.exists()
