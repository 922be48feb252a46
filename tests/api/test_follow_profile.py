from collections.abc import Callable
from urllib.parse import quote

import pytest

from profiles.models import Follow
from tests.builders import make_user, write_article
from tests.client import ApiClient
from users.models import User

Api = Callable[..., ApiClient]

NOT_FOUND = {"errors": {"profile": ["not found"]}}


@pytest.mark.django_db
def test_it_follows_a_user(api: Api, charlie: User) -> None:
    make_user("alice", bio="I write.", image="https://example.com/alice.png")

    response = api(charlie).post("/api/profiles/alice/follow")

    assert response.status_code == 200
    assert response.json() == {
        "profile": {
            "username": "alice",
            "bio": "I write.",
            "image": "https://example.com/alice.png",
            "following": True,
        }
    }
    follow = Follow.objects.get()
    assert (follow.follower.username, follow.followed.username) == ("charlie", "alice")


def test_profile_article_and_feed_show_it(api: Api, alice: User, charlie: User) -> None:
    article = write_article(alice)
    client = api(charlie)

    client.post("/api/profiles/alice/follow")

    assert client.get("/api/profiles/alice").json()["profile"]["following"] is True
    shown = client.get(f"/api/articles/{article.slug}").json()["article"]
    assert shown["author"]["following"] is True
    feed = client.get("/api/articles/feed").json()["articles"]
    assert [shown["slug"] for shown in feed] == [article.slug]


def test_following_twice_makes_one_row(api: Api, alice: User, bob: User) -> None:
    for _ in range(2):
        response = api(bob).post("/api/profiles/alice/follow")

        assert response.status_code == 200
        assert response.json()["profile"]["following"] is True
    assert Follow.objects.count() == 1


def test_it_changes_no_other_follow(api: Api, alice: User, bob: User, charlie: User) -> None:
    api(bob).post("/api/profiles/charlie/follow")

    def following(viewer: User, username: str) -> bool:
        profile = api(viewer).get(f"/api/profiles/{username}").json()["profile"]
        return bool(profile["following"])

    assert following(bob, "alice") is True
    assert following(bob, "charlie") is True
    assert following(charlie, "bob") is False
    assert following(charlie, "alice") is False
    assert following(alice, "charlie") is False


@pytest.mark.parametrize("username", ["john.doe", "日本語", "a+b", "follow"])
def test_it_finds_every_username(api: Api, bob: User, username: str) -> None:
    make_user(username, email="somebody@example.com")

    response = api(bob).post(f"/api/profiles/{quote(username, safe='+')}/follow")

    assert response.status_code == 200
    assert response.json()["profile"]["username"] == username


def test_it_refuses_to_follow_oneself(api: Api, alice: User) -> None:
    response = api(alice).post("/api/profiles/alice/follow")

    assert response.status_code == 422
    assert response.json() == {"errors": {"profile": ["can't follow yourself"]}}
    assert not Follow.objects.exists()


@pytest.mark.parametrize(
    "username", ["nobody", "%00", "%FF", "a" * 5000], ids=lambda name: name[:9]
)
def test_it_does_not_find_an_unknown_username(api: Api, bob: User, username: str) -> None:
    response = api(bob).post(f"/api/profiles/{username}/follow")

    assert response.status_code == 404
    assert response.json() == NOT_FOUND


@pytest.mark.parametrize("username", ["alice", "nobody"])
def test_it_needs_a_token(api: Api, alice: User, username: str) -> None:
    response = api().post(f"/api/profiles/{username}/follow")

    assert response.status_code == 401
    assert response.json() == {"errors": {"token": ["is missing"]}}
    assert not Follow.objects.exists()


@pytest.mark.parametrize("body", [b"", b"{}", {"profile": {"username": "charlie"}}], ids=str)
def test_it_needs_no_body(api: Api, alice: User, bob: User, charlie: User, body: object) -> None:
    response = api(charlie).post("/api/profiles/alice/follow", body)

    assert response.status_code == 200
    assert response.json()["profile"]["username"] == "alice"
