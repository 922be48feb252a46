"""Signing up."""

import pytest

from tests.builders import PASSWORD
from tests.website.reader import Page, Reader
from users.known_addresses import KnownAddress
from users.limits.throttles import RateThrottle
from users.models import User
from users.password_queue import password_queue


def sign_up(reader: Reader, *, status: int = 200, **values: str) -> Page:
    values = {"username": "dora", "email": "dora@example.com", "password": PASSWORD} | values
    return reader.submit(
        reader.open("/register"), "main button[type=submit]", status=status, **values
    )


def test_a_new_person_is_logged_in_at_once(stranger: Reader) -> None:
    assert stranger.open("/register").one("h1").text() == "Sign up"

    home = sign_up(stranger)

    assert home.path == "/"
    dora = User.objects.get(username="dora")
    assert (dora.email, dora.bio, dora.image) == ("dora@example.com", None, None)
    assert dora.check_password(PASSWORD)
    assert stranger.open("/settings").one("input[name=email]").attributes["value"] == dora.email
    # As after a registration in the API, an attacker elsewhere cannot lock Dora out.
    assert KnownAddress.objects.filter(user=dora).count() == 1


@pytest.mark.parametrize(
    ("values", "errors"),
    [
        (
            {"username": "", "email": "", "password": ""},
            ["email can't be blank", "username can't be blank", "password can't be blank"],
        ),
        (
            {"email": "dora", "password": "short"},
            ["email is invalid", "password is too short (minimum is 8 characters)"],
        ),
        ({"username": "ALICE"}, ["username has already been taken"]),
        ({"email": "Alice@example.com"}, ["email has already been taken"]),
        ({"username": "x" * 65}, ["username is too long (maximum is 64 characters)"]),
        (
            {"username": "do ra"},
            [
                "username must be letters, digits and . _ + -, with at least one letter or digit,"
                " and no invisible characters"
            ],
        ),
    ],
)
def test_the_errors_are_those_of_the_api(
    stranger: Reader, alice: User, values: dict[str, str], errors: list[str]
) -> None:
    typed = {"username": "dora", "email": "dora@example.com", "password": PASSWORD} | values

    page = sign_up(stranger, status=422, **values)

    assert page.texts(".error-messages li") == errors
    answer = stranger.post("/api/users", {"user": typed}, "application/json").json()
    listed = [f"{field} {text}" for field, texts in answer["errors"].items() for text in texts]
    assert listed == errors
    assert page.path == "/register"
    assert page.one("input[name=username]").attributes["value"] == typed["username"]
    assert page.one("input[name=email]").attributes["value"] == typed["email"]
    assert "value" not in page.one("input[name=password]").attributes
    assert not stranger.has_session
    assert User.objects.count() == 1


@pytest.mark.parametrize("email", ["dörte@müller.example", "d+x@[127.0.0.1]", " dora@example.com "])
def test_browsers_send_every_email_that_the_api_accepts(stranger: Reader, email: str) -> None:
    """`type="email"` would refuse some, and change the host of others to Punycode."""
    field = stranger.open("/register").one("main form input[name=email]")

    assert field.attributes.get("type") is None
    assert field.attributes["inputmode"] == "email"
    answer = stranger.post(
        "/api/users",
        {"user": {"username": "dora", "email": email, "password": PASSWORD}},
        "application/json",
    )
    if answer.status_code == 201:
        User.objects.all().delete()
        assert sign_up(stranger, email=email).path == "/"
        assert User.objects.get().email == email.strip()
    else:
        assert sign_up(stranger, email=email, status=422).path == "/register"


def test_password_managers_and_keyboards_know_the_fields(stranger: Reader) -> None:
    page = stranger.open("/register")

    attributes = {
        name: page.one(f"input[name={name}]").attributes
        for name in ("username", "email", "password")
    }
    assert [a["autocomplete"] for a in attributes.values()] == [
        "nickname",
        "username",
        "new-password",
    ]
    for name in attributes:
        page.one(f"label[for={attributes[name]['id']}]")
    assert attributes["email"]["autocapitalize"] == "none"


def test_the_rate_is_limited(stranger: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RateThrottle.THROTTLE_RATES, "register", "1/minute")
    body = {"user": {"username": "eve", "email": "eve@example.com", "password": PASSWORD}}
    assert stranger.post("/api/users", body, "application/json").status_code == 201

    page = sign_up(stranger, status=429)

    (sentence,) = page.texts(".error-messages li")
    assert sentence.startswith("There were too many requests in a short time.")
    assert "Retry-After" in page.response
    assert page.one("input[name=username]").attributes["value"] == "dora"
    assert not User.objects.filter(username="dora").exists()


def test_a_full_password_queue_refuses(stranger: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(password_queue, "taken", password_queue.slots)

    page = sign_up(stranger, status=429)

    assert page.texts(".error-messages li") == ["Too many people are logging in. Try again soon."]
    assert not User.objects.exists()
