from collections.abc import Callable

import pytest
from pytest_django import DjangoAssertNumQueries

from tests.builders import make_user
from tests.client import ApiClient
from users.models import User

Api = Callable[..., ApiClient]


@pytest.mark.django_db
def test_it_shows_the_user_of_the_token(api: Api) -> None:
    alice = make_user("alice", bio="I write.", image="https://example.com/alice.png")

    response = api(alice).get("/api/user")

    assert response.status_code == 200
    token = response.json()["user"]["token"]
    assert response.json() == {
        "user": {
            "email": "alice@example.com",
            "token": token,
            "username": "alice",
            "bio": "I write.",
            "image": "https://example.com/alice.png",
        }
    }


def test_it_shows_null_for_empty_fields(api: Api, alice: User) -> None:
    shown = api(alice).get("/api/user").json()["user"]

    assert shown["bio"] is None
    assert shown["image"] is None


def test_its_token_can_be_used(api: Api, alice: User) -> None:
    token = api(alice).get("/api/user").json()["user"]["token"]

    response = api(headers={"Authorization": f"Token {token}"}).get("/api/user")

    assert response.json()["user"]["username"] == "alice"


def test_each_user_sees_their_own_account(api: Api, alice: User, bob: User, charlie: User) -> None:
    shown = [api(user).get("/api/user").json()["user"]["email"] for user in (alice, bob, charlie)]

    assert shown == ["alice@example.com", "bob@example.com", "charlie@example.com"]


def test_it_needs_a_token(api: Api, alice: User) -> None:
    response = api().get("/api/user")

    assert response.status_code == 401
    assert response.json() == {"errors": {"token": ["is missing"]}}


def test_it_runs_one_query(
    api: Api, alice: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    client = api(alice)

    with django_assert_num_queries(1):  # the user of the token
        assert client.get("/api/user").status_code == 200
