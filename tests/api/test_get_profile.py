import unicodedata
from collections.abc import Callable
from typing import Literal
from urllib.parse import quote

import pytest
from pytest_django import DjangoAssertNumQueries

from tests.builders import follow, make_user
from tests.client import ApiClient
from users.models import User

Api = Callable[..., ApiClient]
Form = Literal["NFC", "NFD", "NFKC", "NFKD"]

NOT_FOUND = {"errors": {"profile": ["not found"]}}


@pytest.mark.django_db
def test_it_shows_the_profile_to_anybody(api: Api) -> None:
    make_user("alice", bio="I write.", image="https://example.com/alice.png")

    response = api().get("/api/profiles/alice")

    assert response.status_code == 200
    assert response.json() == {
        "profile": {
            "username": "alice",
            "bio": "I write.",
            "image": "https://example.com/alice.png",
            "following": False,
        }
    }


def test_it_shows_null_for_empty_fields(api: Api, alice: User) -> None:
    assert api().get("/api/profiles/alice").json() == {
        "profile": {"username": "alice", "bio": None, "image": None, "following": False}
    }


def test_it_shows_whom_the_viewer_follows(api: Api, alice: User, bob: User, charlie: User) -> None:
    def following(viewer: User, username: str) -> bool:
        profile = api(viewer).get(f"/api/profiles/{username}").json()["profile"]
        assert profile["username"] == username
        return bool(profile["following"])

    assert following(bob, "alice") is True
    assert following(alice, "bob") is False
    assert following(bob, "charlie") is False
    assert following(charlie, "alice") is False
    assert following(alice, "alice") is False


@pytest.mark.parametrize(
    "username",
    [
        "john.doe",
        "john.json",
        "a.b.c",
        ".a.",
        "a+b",
        "a_b-c",
        "7",
        "日本語",
        "हिन्दी",
        "ÄRGER",
        "follow",
        "feed",
        "a" * 64,
    ],
)
@pytest.mark.django_db
def test_it_finds_every_kind_of_username(api: Api, username: str) -> None:
    make_user(username, email="somebody@example.com")

    response = api().get(f"/api/profiles/{quote(username, safe='+')}")

    assert response.status_code == 200
    assert response.json()["profile"]["username"] == username


@pytest.mark.parametrize("typed", ["NFC", "NFD", "NFKC", "NFKD"])
@pytest.mark.parametrize("sent", ["NFC", "NFD", "NFKC", "NFKD"])
@pytest.mark.parametrize("name", ["René", "ガブリエル", "한글", "Ởi"])
def test_it_finds_a_username_in_any_normalization_form(
    api: Api, bob: User, name: str, typed: Form, sent: Form
) -> None:
    make_user(unicodedata.normalize(typed, name), email="somebody@example.com")
    path = f"/api/profiles/{quote(unicodedata.normalize(sent, name))}"

    response = api().get(path)

    assert response.json()["profile"]["username"] == unicodedata.normalize("NFC", name)
    assert api(bob).post(f"{path}/follow").json()["profile"]["following"] is True
    assert api(bob).get(path).json()["profile"]["following"] is True
    assert api(bob).delete(f"{path}/follow").json()["profile"]["following"] is False


@pytest.mark.parametrize(
    "path",
    [
        "nobody",
        "alic",
        "alice2",
        "alice%20",
        "alice%00",
        "%00",
        "alice%0A",
        "%FF",
        "%ED%A0%80",
        "!!!",
        "%F0%9F%98%80",
        "a" * 5000,
        "%CC%95" * 1000 + "%CC%80" * 1000,  # slow to normalize
        "9" * 5000,
        "alice';--",
        "%25",
    ],
    ids=lambda path: path[:20],
)
@pytest.mark.parametrize("known", [False, True], ids=["anonymous", "with a token"])
def test_an_unknown_username_is_404(
    api: Api, alice: User, bob: User, path: str, known: bool
) -> None:
    client = api(bob) if known else api()

    response = client.get(f"/api/profiles/{path}")

    assert response.status_code == 404
    assert response.json() == NOT_FOUND


def test_it_runs_one_query(
    api: Api, alice: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    client = api()

    with django_assert_num_queries(1):  # the profile
        assert client.get("/api/profiles/alice").status_code == 200


def test_it_runs_two_queries_with_a_token(
    api: Api, alice: User, bob: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(20):
        follow(make_user(f"reader{number}"), alice)
    client = api(bob)

    with django_assert_num_queries(2):  # the user of the token, the profile with `following`
        assert client.get("/api/profiles/alice").json()["profile"]["following"] is True
