import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import reverse
from prometheus_client import REGISTRY

from tests.builders import PASSWORD, make_user
from tests.client import ApiClient
from tests.races import at_once
from users.hashers import Argon2Hasher
from users.models import User
from users.passwords import MAX_INPUT_LENGTH

Api = Callable[..., ApiClient]

COMPOSED, DECOMPOSED = "caf\u00e9 au lait", "cafe\u0301 au lait"
FULLWIDTH, ASCII = "\uff48\uff4f\uff52\uff53\uff45 12345", "horse 12345"


def log_in(client: ApiClient, password: str, email: str = "alice@example.com") -> int:
    credentials = {"user": {"email": email, "password": password}}
    status: int = client.post("/api/users/login", credentials).status_code
    return status


def hashes() -> float:
    return REGISTRY.get_sample_value("password_hashes_total", {"result": "done"}) or 0


def test_they_are_hashed_with_the_argon2id_parameters_of_owasp() -> None:
    assert make_password("correct horse").startswith("argon2$argon2id$v=19$m=19456,t=2,p=1$")


@pytest.mark.parametrize(
    ("new", "typed"),
    [
        (COMPOSED, DECOMPOSED),
        (DECOMPOSED, COMPOSED),
        (FULLWIDTH, ASCII),
        (ASCII, FULLWIDTH),
    ],
    ids=ascii,
)
def test_a_password_matches_in_every_normalization_form(
    api: Api, alice: User, new: str, typed: str
) -> None:
    change = api(alice).put("/api/user", {"user": {"password": new}})

    assert change.status_code == 200
    assert log_in(api(), typed) == log_in(api(), new) == 200
    assert log_in(api(), new.upper()) == 401
    user = User.objects.get(pk=alice.pk)
    assert asyncio.run(user.acheck_password(typed))


@pytest.mark.parametrize("password", [COMPOSED, DECOMPOSED, FULLWIDTH, ASCII], ids=ascii)
def test_a_hash_of_a_password_that_is_not_normalized_works(
    db: None, api: Api, password: str
) -> None:
    alice = make_user("alice", password=make_password(password), is_staff=True)

    assert log_in(api(), password) == 200
    browser = Client()
    form = {"username": alice.email, "password": password}
    assert browser.post(reverse("admin:login"), form).status_code == 302
    change = {"old_password": password, "new_password1": ASCII, "new_password2": ASCII}
    assert browser.post(reverse("admin:password_change"), change).status_code == 302
    assert log_in(api(), FULLWIDTH) == 200


@pytest.mark.parametrize("password", ["wrong horse", DECOMPOSED, FULLWIDTH, "x" * 5000], ids=ascii)
def test_an_unknown_email_takes_as_many_hashes_as_a_wrong_password(
    api: Api, alice: User, password: str
) -> None:
    def hashes_of(email: str) -> float:
        before = hashes()
        assert log_in(api(), password, email) == 401
        return hashes() - before

    make_user("unusable", password=make_password(None))

    assert hashes_of("alice@example.com") == hashes_of("nobody@example.com") >= 1
    assert hashes_of("unusable@example.com") == hashes_of("nobody@example.com")


def test_a_too_long_password_is_hashed_without_normalization(alice: User) -> None:
    password = "e\u0301" * MAX_INPUT_LENGTH

    alice.set_password(password)

    assert alice.check_password(password)
    assert not alice.check_password("\u00e9" * MAX_INPUT_LENGTH)


def test_every_form_counts_the_characters_of_the_normalized_password() -> None:
    validate_password("\ufb03 12345")  # a ligature of three letters
    with pytest.raises(ValidationError):
        validate_password("e\u0301" * 7)


@pytest.fixture
def outdated(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Hashes of passwords with other parameters, which a login replaces."""

    def make(password: str) -> str:
        with monkeypatch.context() as patch:
            patch.setattr(Argon2Hasher, "time_cost", 1)
            return make_password(password)

    return make


@pytest.mark.parametrize("password", [PASSWORD, DECOMPOSED], ids=ascii)
def test_a_login_replaces_an_outdated_hash_and_nothing_else(
    db: None, api: Api, outdated: Callable[[str], str], password: str
) -> None:
    alice = make_user("alice", password=outdated(password))
    before: dict[str, Any] = {**User.objects.values().get(pk=alice.pk)}

    assert log_in(api(), password) == 200

    after: dict[str, Any] = {**User.objects.values().get(pk=alice.pk)}
    assert {name for name in after if after[name] != before[name]} == {"password"}
    assert log_in(api(), password) == 200
    assert log_in(api(), COMPOSED) == (200 if password == DECOMPOSED else 401)


@pytest.mark.django_db(transaction=True)
def test_a_rehash_does_not_overwrite_a_password_that_was_set_meanwhile(
    monkeypatch: pytest.MonkeyPatch, outdated: Callable[[str], str]
) -> None:
    monkeypatch.setattr(Argon2Hasher, "memory_cost", 64)  # KiB, to make the 30 rounds fast
    alice = make_user("alice", password="")
    for _ in range(30):
        old, same = User.objects.get(pk=alice.pk), User.objects.get(pk=alice.pk)
        old.password = outdated(PASSWORD)
        old.save()
        same.set_password("another horse")

        is_correct, _ = at_once(
            [partial(old.check_password, PASSWORD), partial(same.save, update_fields=["password"])]
        )

        assert is_correct
        assert User.objects.get(pk=alice.pk).check_password("another horse")
