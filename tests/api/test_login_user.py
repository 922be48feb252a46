import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from tests.builders import PASSWORD, make_user
from tests.client import ApiClient
from users.models import User

Api = Callable[..., ApiClient]

INVALID = {"errors": {"credentials": ["invalid"]}}


def log_in(client: ApiClient, **fields: Any) -> Any:
    user = {"email": "alice@example.com", "password": PASSWORD} | fields
    return client.post("/api/users/login", {"user": user})


@pytest.mark.django_db
def test_it_shows_the_user_with_a_token(api: Api) -> None:
    make_user("alice", bio="I write.", image="https://example.com/alice.png")

    response = log_in(api())

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
    shown = api(headers={"Authorization": f"Token {token}"}).get("/api/user")
    assert shown.json()["user"]["username"] == "alice"


def test_it_shows_null_for_empty_fields(api: Api, alice: User) -> None:
    shown = log_in(api()).json()["user"]

    assert shown["bio"] is None
    assert shown["image"] is None


def test_it_logs_in_the_user_of_the_email(api: Api, alice: User, bob: User) -> None:
    shown = log_in(api(), email="bob@example.com").json()["user"]

    assert shown["username"] == "bob"


@pytest.mark.parametrize(
    ("stored", "typed"),
    [
        ("alice@example.com", "ALICE@Example.COM"),
        ("Alice@Example.com", "alice@example.com"),
        ("alice@ÄRGER.example", "Alice@ärger.example"),
        ("alice@σίσυφος.example", "alice@ΣΊΣΥΦΟΣ.example"),
        ("alice@example.com", " \talice@example.com\u3000"),
    ],
)
@pytest.mark.django_db
def test_it_accepts_the_email_in_any_case(api: Api, stored: str, typed: str) -> None:
    make_user("alice", email=stored)

    response = log_in(api(), email=typed)

    assert response.status_code == 200
    assert response.json()["user"]["email"] == stored


@pytest.mark.parametrize(
    "password", ["wrong horse", PASSWORD.upper(), f" {PASSWORD}", f"{PASSWORD} ", "x"]
)
def test_it_refuses_a_wrong_password(api: Api, alice: User, password: str) -> None:
    response = log_in(api(), password=password)

    assert response.status_code == 401
    assert response.json() == INVALID


def test_it_refuses_an_unknown_email_with_the_same_message(api: Api, alice: User) -> None:
    response = log_in(api(), email="nobody@example.com")

    assert response.status_code == 401
    assert response.json() == INVALID


def test_it_refuses_the_password_of_another_user(api: Api, alice: User, bob: User) -> None:
    bob.set_password("a different horse")
    bob.save()

    assert log_in(api(), password="a different horse").status_code == 401


def test_an_unknown_email_takes_as_long_as_a_wrong_password(api: Api, alice: User) -> None:
    def cpu_seconds(**credentials: str) -> float:
        client, times = api(), []
        for _ in range(5):
            start = time.process_time()
            assert log_in(client, **credentials).status_code == 401
            times.append(time.process_time() - start)
        return min(times)

    wrong_password = cpu_seconds(password="wrong horse")
    unknown_email = cpu_seconds(email="nobody@example.com")

    # Hashing takes most of the time: without it the response takes a tenth of the time.
    assert 0.5 < unknown_email / wrong_password < 2


def test_it_refuses_an_inactive_user(api: Api, alice: User) -> None:
    alice.is_active = False
    alice.save()

    response = log_in(api())

    assert response.status_code == 401
    assert response.json() == INVALID


def test_it_refuses_a_user_without_a_password(api: Api, alice: User) -> None:
    alice.set_unusable_password()
    alice.save()

    for password in (PASSWORD, alice.password):
        response = log_in(api(), password=password)

        assert response.status_code == 401
        assert response.json() == INVALID


@pytest.mark.parametrize("blank", [None, "", " ", "\t\n"], ids=ascii)
@pytest.mark.parametrize("field", ["email", "password"])
@pytest.mark.django_db
def test_it_refuses_a_blank_field(api: Api, field: str, blank: str | None) -> None:
    response = log_in(api(), **{field: blank})

    assert response.status_code == 422
    assert response.json() == {"errors": {field: ["can't be blank"]}}


@pytest.mark.parametrize("field", ["email", "password"])
@pytest.mark.django_db
def test_it_refuses_a_missing_field(api: Api, field: str) -> None:
    user = {"email": "alice@example.com", "password": PASSWORD}
    del user[field]

    response = api().post("/api/users/login", {"user": user})

    assert response.status_code == 422
    assert response.json() == {"errors": {field: ["can't be blank"]}}


@pytest.mark.django_db
def test_it_reports_all_invalid_fields_at_once(api: Api) -> None:
    response = api().post("/api/users/login", {"user": {"email": "", "password": None}})

    assert response.status_code == 422
    assert response.json() == {
        "errors": {"email": ["can't be blank"], "password": ["can't be blank"]}
    }


@pytest.mark.parametrize("value", [7, True, ["x"], {"x": "y"}, "nul\0"], ids=ascii)
@pytest.mark.parametrize("field", ["email", "password"])
@pytest.mark.django_db
def test_it_refuses_a_wrong_type_and_a_nul_character(api: Api, field: str, value: Any) -> None:
    response = log_in(api(), **{field: value})

    assert response.status_code == 422
    assert response.json()["errors"].keys() == {field}


def test_it_ignores_unknown_keys(api: Api, alice: User) -> None:
    assert log_in(api(), username="bob", remember=True).json()["user"]["username"] == "alice"


@pytest.mark.parametrize("key", ["a key", "", "x" * 256, "né"])
def test_it_ignores_an_idempotency_key(api: Api, alice: User, bob: User, key: str) -> None:
    client = api(headers={"Idempotency-Key": key})

    assert log_in(client).json()["user"]["username"] == "alice"
    assert log_in(client, email="bob@example.com").json()["user"]["username"] == "bob"
    assert log_in(client, password="wrong horse").status_code == 401


def test_it_sets_no_cookie(api: Api, alice: User) -> None:
    assert not log_in(api()).cookies


@pytest.mark.django_db
def test_an_email_that_is_slow_to_normalize_is_refused_within_a_second(api: Api) -> None:
    email = "a" + "\u0315" * 100_000 + "\u0300" * 100_000
    started = time.process_time()

    response = api().post("/api/users/login", {"user": {"email": email, "password": "p"}})

    assert response.status_code == 422
    assert response.json() == {"errors": {"email": ["is too long (maximum is 254 characters)"]}}
    assert time.process_time() - started < 1


@pytest.mark.django_db
def test_the_admin_refuses_such_an_email_within_a_second_too(api: Api) -> None:
    name = "a" + "\u0315" * 50_000 + "\u0300" * 50_000
    started = time.process_time()

    response = api().post(
        "/admin/login/",
        b"username=%s&password=p" % quote(name).encode(),
        content_type="application/x-www-form-urlencoded",
    )

    assert response.status_code == 200
    assert time.process_time() - started < 1
