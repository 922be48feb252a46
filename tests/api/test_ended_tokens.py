"""A new password ends the user's other tokens, and no token of another user."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jwt
import pytest
from asgiref.sync import async_to_sync
from django.conf import settings as project
from django.contrib.auth.hashers import PBKDF2PasswordHasher, make_password
from django.db import connection, transaction

from articles.models import Article
from tests.builders import PASSWORD
from tests.client import ApiClient
from tests.races import at_once, wait_for_blocked_connection
from users import tokens
from users.models import User

Api = Callable[..., ApiClient]

NEW = "another horse"
INVALID = {"errors": {"token": ["is invalid"]}}
ROUNDS = 30


def log_in(password: str = PASSWORD, email: str = "alice@example.com") -> str:
    credentials = {"email": email, "password": password}
    response = ApiClient().post("/api/users/login", {"user": credentials})
    assert response.status_code == 200
    token: str = response.json()["user"]["token"]
    return token


def client_with_token(token: str) -> ApiClient:
    return ApiClient(headers={"Authorization": f"Token {token}"})


def update_user(token: str, **fields: str) -> Any:
    return client_with_token(token).put("/api/user", {"user": fields})


def is_valid(token: str) -> bool:
    response = client_with_token(token).get("/api/user")
    if response.status_code == 200:
        return True
    assert (response.status_code, response.json()) == (401, INVALID)
    return False


def token_without_generation(user: User) -> str:
    """A token without the claim `gen`."""
    now = int(time.time())
    claims = {"sub": str(user.pk), "iat": now, "exp": now + 60}
    return jwt.encode(claims, project.SECRET_KEY, algorithm="HS256")


def test_a_new_password_keeps_the_token_in_use_and_ends_the_others(alice: User) -> None:
    used, other = log_in(), log_in()  # usually with the same `iat`, in seconds

    response = update_user(used, password=NEW)

    assert response.status_code == 200
    assert response.json()["user"]["token"] == used
    assert is_valid(used)
    assert not is_valid(other)
    assert is_valid(log_in(NEW))


def test_a_public_read_ignores_an_ended_token(alice: User, article: Article) -> None:
    used, other = log_in(), log_in()
    update_user(used, password=NEW)

    response = client_with_token(other).get("/api/articles")

    assert response.status_code == 200
    assert response.headers["WWW-Authenticate"] == 'Token error="invalid_token"'
    assert client_with_token(other).post("/api/articles").json() == INVALID


def test_the_kept_token_survives_its_next_password_change(alice: User) -> None:
    used = log_in()
    update_user(used, password=NEW)
    newer = log_in(NEW)

    assert update_user(used, password="a third horse").status_code == 200

    assert is_valid(used)
    assert not is_valid(newer)


def test_the_kept_token_ends_when_another_token_changes_the_password(alice: User) -> None:
    used = log_in()
    update_user(used, password=NEW)
    newer = log_in(NEW)

    assert update_user(newer, password="a third horse").status_code == 200

    assert is_valid(newer)
    assert not is_valid(used)


@pytest.mark.parametrize("password", [PASSWORD, NEW])
def test_setting_the_same_password_again_ends_the_other_tokens(alice: User, password: str) -> None:
    used, other = log_in(), log_in()

    update_user(used, password=password)

    assert is_valid(used)
    assert not is_valid(other)


def test_other_changes_end_no_token(alice: User) -> None:
    used, other = log_in(), log_in()
    update_user(used, email="new@example.com", username="new", bio="New", image="new.png")

    assert is_valid(used)
    assert is_valid(other)


@pytest.mark.parametrize(
    ("fields", "status"),
    [({"password": "short"}, 422), ({"password": NEW, "username": "charlie"}, 409)],
    ids=str,
)
def test_a_failed_change_ends_no_token(
    alice: User, charlie: User, fields: dict[str, str], status: int
) -> None:
    used, other = log_in(), log_in()

    assert update_user(used, **fields).status_code == status

    assert is_valid(used)
    assert is_valid(other)
    assert is_valid(log_in())


def test_it_ends_no_token_of_another_user(alice: User, charlie: User) -> None:
    charlies = log_in(email="charlie@example.com")

    update_user(log_in(), password=NEW)

    assert is_valid(charlies)


def test_a_token_without_a_generation_belongs_to_the_first(alice: User) -> None:
    token = token_without_generation(alice)
    assert is_valid(token)

    update_user(log_in(), password=NEW)

    assert not is_valid(token)


def test_a_token_without_a_generation_is_kept_when_it_is_in_use(alice: User) -> None:
    used = token_without_generation(alice)
    update_user(used, password=NEW)

    assert is_valid(used)


@pytest.mark.parametrize("generation", [-1, 1, 2**70, "0", None, [], {}, 0.5], ids=str)
def test_a_token_of_another_generation_is_refused(alice: User, generation: Any) -> None:
    now = int(time.time())
    claims = {"sub": str(alice.pk), "iat": now, "exp": now + 60, "gen": generation}

    assert not is_valid(jwt.encode(claims, project.SECRET_KEY, algorithm="HS256"))


def test_a_rehash_at_login_ends_no_token(alice: User) -> None:
    weak = PBKDF2PasswordHasher().encode(PASSWORD, "salt", iterations=1)
    User.objects.filter(pk=alice.pk).update(password=weak)
    token = tokens.issue(alice.pk)

    newer = log_in()

    alice.refresh_from_db()
    assert alice.password.startswith("argon2")
    assert is_valid(token)
    assert is_valid(newer)


real_transactions = pytest.mark.django_db(transaction=True)


@real_transactions
def test_one_of_two_simultaneous_password_changes_ends_the_token_of_the_other(alice: User) -> None:
    passwords = ["the first horse", "the second horse"]
    for _ in range(ROUNDS):
        generation = User.objects.get(pk=alice.pk).token_generation
        two = [tokens.issue(alice.pk, generation) for _ in passwords]

        def change(token: str, password: str) -> Callable[[], Any]:
            return lambda: update_user(token, password=password)

        answers = at_once([*map(change, two, passwords)])

        statuses = [answer.status_code for answer in answers]
        assert sorted(statuses) == [200, 401]
        assert answers[statuses.index(401)].json() == INVALID
        winner = statuses.index(200)
        assert [is_valid(token) for token in two] == [winner == 0, winner == 1]
        assert User.objects.get(pk=alice.pk).check_password(passwords[winner])


@real_transactions
def test_two_simultaneous_password_changes_with_one_token_both_succeed(alice: User) -> None:
    token = log_in()
    for _ in range(ROUNDS):
        answers = at_once([lambda: update_user(token, password=NEW)] * 2)

        assert [answer.status_code for answer in answers] == [200, 200]
        assert is_valid(token)


@real_transactions
def test_a_simultaneous_login_with_the_old_password_gets_no_valid_token(alice: User) -> None:
    passwords = [PASSWORD, NEW]
    used = log_in()
    for _ in range(ROUNDS):
        old, new = passwords

        def attempt_login(password: str = old) -> Any:
            credentials = {"email": "alice@example.com", "password": password}
            return ApiClient().post("/api/users/login", {"user": credentials})

        def change(password: str = new) -> Any:
            return update_user(used, password=password)

        login, changed = at_once([attempt_login, change])

        assert changed.status_code == 200
        assert login.status_code in (200, 401, 429)  # 429 after too many failed rounds
        if login.status_code == 200:
            assert not is_valid(login.json()["user"]["token"])
        assert is_valid(used)
        passwords.reverse()


@real_transactions
def test_a_password_change_waits_for_the_change_of_an_administrator_and_is_refused(
    alice: User,
) -> None:
    token = log_in()

    def change() -> Any:
        try:
            return update_user(token, password=NEW)
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=1) as thread:
        with transaction.atomic():
            alice.set_password("the administrator's")
            alice.save()
            answer = thread.submit(change)
            wait_for_blocked_connection()
        refused = answer.result()

    assert (refused.status_code, refused.json()) == (401, INVALID)
    assert User.objects.get(pk=alice.pk).check_password("the administrator's")
    assert not is_valid(token)


def test_a_rehash_does_not_restore_an_old_password(alice: User) -> None:
    weak = PBKDF2PasswordHasher().encode(PASSWORD, "salt", iterations=1)
    User.objects.filter(pk=alice.pk).update(password=weak)
    old = User.objects.get(pk=alice.pk)
    User.objects.filter(pk=alice.pk).update(password=make_password(NEW))

    assert old.check_password(PASSWORD)

    assert User.objects.get(pk=alice.pk).check_password(NEW)


def test_a_rehash_in_asynchronous_code_ends_no_token(alice: User) -> None:
    weak = PBKDF2PasswordHasher().encode(PASSWORD, "salt", iterations=1)
    alice.password = weak

    assert async_to_sync(alice.acheck_password)(PASSWORD)

    assert alice.token_generation == 0
