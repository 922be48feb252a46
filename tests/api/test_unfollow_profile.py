from collections.abc import Callable
from urllib.parse import quote

import pytest

from profiles.models import Follow
from tests.builders import follow, make_user, write_article
from tests.client import ApiClient
from users.models import User

Api = Callable[..., ApiClient]

NOT_FOUND = {"errors": {"profile": ["not found"]}}


@pytest.mark.django_db
def test_it_unfollows_a_user(api: Api, charlie: User) -> None:
    follow(charlie, make_user("alice", bio="I write.", image="https://example.com/alice.png"))

    response = api(charlie).delete("/api/profiles/alice/follow")

    assert response.status_code == 200
    assert response.json() == {
        "profile": {
            "username": "alice",
            "bio": "I write.",
            "image": "https://example.com/alice.png",
            "following": False,
        }
    }
    assert not Follow.objects.exists()


def test_profile_article_and_feed_show_it(api: Api, alice: User, bob: User) -> None:
    article = write_article(alice)
    client = api(bob)

    client.delete("/api/profiles/alice/follow")

    assert client.get("/api/profiles/alice").json()["profile"]["following"] is False
    shown = client.get(f"/api/articles/{article.slug}").json()["article"]
    assert shown["author"]["following"] is False
    assert client.get("/api/articles/feed").json() == {"articles": [], "articlesCount": 0}


def test_it_can_be_repeated(api: Api, alice: User, bob: User) -> None:
    for _ in range(2):
        response = api(bob).delete("/api/profiles/alice/follow")

        assert response.status_code == 200
        assert response.json()["profile"]["following"] is False


def test_it_succeeds_without_a_follow(api: Api, alice: User, charlie: User) -> None:
    response = api(charlie).delete("/api/profiles/alice/follow")

    assert response.status_code == 200
    assert response.json()["profile"]["following"] is False


def test_it_changes_no_other_follow(api: Api, alice: User, bob: User, charlie: User) -> None:
    follow(bob, charlie)
    follow(alice, bob)
    follow(charlie, alice)

    api(bob).delete("/api/profiles/alice/follow")

    left = set(Follow.objects.values_list("follower__username", "followed__username"))
    assert left == {("bob", "charlie"), ("alice", "bob"), ("charlie", "alice")}


@pytest.mark.parametrize("username", ["john.doe", "日本語", "a+b", "follow"])
def test_it_finds_every_username(api: Api, bob: User, username: str) -> None:
    follow(bob, make_user(username, email="somebody@example.com"))

    response = api(bob).delete(f"/api/profiles/{quote(username, safe='+')}/follow")

    assert response.status_code == 200
    assert response.json()["profile"] == {
        "username": username,
        "bio": None,
        "image": None,
        "following": False,
    }


@pytest.mark.parametrize(
    "username", ["nobody", "%00", "%FF", "a" * 5000], ids=lambda name: name[:9]
)
def test_it_does_not_find_an_unknown_username(api: Api, bob: User, username: str) -> None:
    response = api(bob).delete(f"/api/profiles/{username}/follow")

    assert response.status_code == 404
    assert response.json() == NOT_FOUND


@pytest.mark.parametrize("username", ["alice", "nobody"])
def test_it_needs_a_token(api: Api, alice: User, bob: User, username: str) -> None:
    response = api().delete(f"/api/profiles/{username}/follow")

    assert response.status_code == 401
    assert response.json() == {"errors": {"token": ["is missing"]}}
    assert Follow.objects.count() == 1
