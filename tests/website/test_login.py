"""Logging in and out."""

from collections.abc import Callable

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from tests.builders import PASSWORD
from tests.website.reader import Reader
from users.limits import logins
from users.limits.throttles import RateThrottle
from users.models import User
from users.password_queue import password_queue

BUTTON = "main button[type=submit]"


def test_a_person_logs_in(stranger: Reader, alice: User) -> None:
    page = stranger.open("/login")
    assert page.one("h1").text() == "Sign in"
    assert page.all(".error-messages") == []

    home = stranger.log_in("Alice@Example.com")

    assert home.path == "/"
    assert stranger.has_session
    assert stranger.open("/settings").one("input[name=username]").attributes["value"] == "alice"
    assert User.objects.get(pk=alice.pk).last_login is not None


@pytest.mark.parametrize(
    ("email", "password"),
    [("alice@example.com", "wrong horse"), ("nobody@example.com", PASSWORD)],
)
def test_wrong_credentials_are_refused(
    stranger: Reader, alice: User, email: str, password: str
) -> None:
    page = stranger.log_in(email, password, status=422)

    assert page.path == "/login"
    assert page.texts(".error-messages li") == ["credentials invalid"]
    assert page.one("input[name=email]").attributes["value"] == email
    assert password not in page.html
    assert not stranger.has_session


def test_an_empty_form_names_each_field(stranger: Reader) -> None:
    page = stranger.log_in("", "", status=422)

    assert page.texts(".error-messages li") == ["email can't be blank", "password can't be blank"]


@pytest.mark.parametrize("path", ["/login", "/register"])
def test_a_person_who_is_logged_in_is_sent_home(
    reader_for: Callable[[User], Reader], alice: User, path: str
) -> None:
    answer = reader_for(alice).get(path)

    assert (answer.status_code, answer["Location"]) == (303, "/")


def test_a_login_gets_a_new_session_and_a_new_csrf_token(stranger: Reader, alice: User) -> None:
    # An attacker has put the key of a session into the browser, to know it after the login.
    planted = SessionStore()
    planted["color"] = "blue"
    planted.create()
    key = str(planted.session_key)
    stranger.cookies["sessionid"] = key
    page = stranger.open("/login")
    token = stranger.cookies["csrftoken"].value

    stranger.submit(page, BUTTON, email=alice.email, password=PASSWORD)

    assert stranger.cookies["sessionid"].value != key
    assert not planted.exists(key)
    assert stranger.cookies["csrftoken"].value != token


def test_the_limit_of_the_rate_is_that_of_the_api(
    stranger: Reader, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RateThrottle.THROTTLE_RATES, "login", "1/minute")
    body = {"user": {"email": alice.email, "password": PASSWORD}}
    assert stranger.post("/api/users/login", body, "application/json").status_code == 200

    page = stranger.log_in(alice.email, status=429)

    (sentence,) = page.texts(".error-messages li")
    wait = page.response["Retry-After"]
    assert sentence == f"There were too many requests in a short time. Try again in {wait} s."
    assert 1 <= int(wait) <= 60
    assert page.one("input[name=email]").attributes["value"] == alice.email
    assert PASSWORD not in page.html
    assert not stranger.has_session


def test_failed_logins_are_limited(
    stranger: Reader, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logins, "MAX_FOR_ACCOUNT_FROM_ADDRESS", 1)
    stranger.log_in(alice.email, "wrong horse", status=422)

    page = stranger.log_in(alice.email, status=429)

    assert page.texts(".error-messages li") == ["Too many logins have failed. Try again in 15 min."]
    assert 0 < int(page.response["Retry-After"]) <= 900
    assert not stranger.has_session


def test_a_full_password_queue_refuses_before_any_work(
    stranger: Reader,
    alice: User,
    monkeypatch: pytest.MonkeyPatch,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    monkeypatch.setattr(password_queue, "taken", password_queue.slots)

    with django_assert_num_queries(0):
        page = stranger.log_in(alice.email, status=429)

    assert page.texts(".error-messages li") == ["Too many people are logging in. Try again soon."]
    assert page.response["Retry-After"] == "1"


def test_a_form_without_its_token_is_refused(stranger: Reader, alice: User) -> None:
    values = {"email": alice.email, "password": PASSWORD}

    assert stranger.post("/login", values).status_code == 403
    assert not stranger.has_session


def test_log_out_is_a_form(reader_for: Callable[[User], Reader], alice: User) -> None:
    reader = reader_for(alice)
    assert reader.get("/logout").status_code == 405

    home = reader.submit(reader.open("/settings"), ".btn-outline-danger")

    assert home.path == "/"
    assert reader.open("/settings").path == "/login"


def test_somebody_who_is_suspended_cannot_log_in(stranger: Reader, alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(is_active=False)

    page = stranger.log_in(alice.email, status=422)

    assert page.texts(".error-messages li") == ["credentials invalid"]


def test_no_cache_keeps_the_page(stranger: Reader) -> None:
    answer = stranger.get(reverse("website:login"))

    assert "no-store" in answer["Cache-Control"]
    assert "private" in answer["Cache-Control"]
