"""Where a person goes after the login: back to the page they wanted, and never to another site."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.test import RequestFactory
from pytest_django import DjangoAssertNumQueries

from tests.builders import PASSWORD
from tests.website.reader import Reader
from users.models import User
from website import access
from website.access import safe_path

BUTTON = "main button[type=submit]"

OF_THIS_SITE = [
    "/",
    "/article/a",
    "/?feed=following&page=2",
    "/tag/caf%C3%A9%2Fbar?page=2",
    "/tag/café bar",
    "/search?q=https://example.com//a",
    "/profile/a:b@c",
    "/admin/",
]
ELSEWHERE = [
    "",
    "article",
    "?page=2",
    "#main",
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/\\/evil.example",
    "/a\\..\\..\\evil.example",
    "/%2Fevil.example",
    "/%5Cevil.example",
    "/%09/evil.example",
    "/%0d%0aLocation:%20//evil.example",
    "/ /evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "/a\r\nSet-Cookie: a=b",
    "\t//evil.example",
    " /a",
    "\x00/a",
    "/a\x00",
    "/a\x7f",
    "/a\x85",
    "/a\u2028",
    "https://evil.example",
    "https:/evil.example",
    "http:evil.example",
    "HTTPS://evil.example/",
    "https://testserver/",  # the host of this site; only paths are accepted
    "http://testserver@evil.example/",
    "javascript:alert(1)",
    "java\nscript:alert(1)",
    "/javascript:\nalert(1)",
    "data:text/html,x",
    "http://[::1",
    "/" + "a" * 8192,
]


@pytest.mark.parametrize("path", OF_THIS_SITE)
def test_a_path_of_this_site_is_safe(path: str) -> None:
    assert safe_path(RequestFactory().get("/"), path) == path


@pytest.mark.parametrize("text", ELSEWHERE, ids=repr)
def test_everything_else_leads_home(text: str) -> None:
    assert safe_path(RequestFactory().get("/"), text) == "/"
    assert safe_path(RequestFactory().get("/", secure=True), text) == "/"


@pytest.mark.parametrize(
    "text", ["//evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(1)"]
)
@pytest.mark.parametrize("page", ["/login", "/register"])
def test_no_form_leads_to_another_site(
    stranger: Reader, reader_for: Callable[[User], Reader], alice: User, page: str, text: str
) -> None:
    typed = {"email": alice.email, "password": PASSWORD}
    if page == "/register":
        typed = {"username": "dora", "email": "dora@example.com", "password": PASSWORD}
    shown = stranger.get(page, {"next": text})
    assert text not in shown.text
    stranger.handler.enforce_csrf_checks = False

    answer = stranger.post(page, typed | {"next": text})

    assert (answer.status_code, answer["Location"]) == (303, "/")
    answer = reader_for(alice).get(page, {"next": text})
    assert (answer.status_code, answer["Location"]) == (303, "/")


@pytest.mark.parametrize(
    "page", ["/editor", "/settings", "/?feed=following", "/editor?a=b%3Bc&d=%2C"]
)
def test_a_stranger_goes_to_the_login_and_from_there_back(
    stranger: Reader, alice: User, page: str
) -> None:
    answer = stranger.get(page)
    assert (answer.status_code, answer["Location"]) == (302, "/login")

    # A wrong password does not lose the way back.
    stranger.log_in(alice.email, "wrong horse", status=422)
    assert stranger.log_in(alice.email).path == page

    # The way back is used once.
    stranger.post("/logout", headers={"X-CSRFToken": stranger.cookies["csrftoken"].value})
    stranger.cookies.pop("sessionid", None)
    assert stranger.log_in(alice.email).path == "/"


def test_it_leads_back_after_signing_up_too(stranger: Reader) -> None:
    page = stranger.open("/editor")
    assert page.path == "/login"
    (link,) = page.all('main a[href^="/register"]')
    # The bar has the only link to exactly /register.
    assert link.attributes["href"] == "/register?next=/editor"
    form = stranger.open(link.attributes["href"] or "")

    typed: dict[str, Any] = {"username": "dora", "email": "dora@example.com", "password": PASSWORD}
    assert stranger.submit(form, BUTTON, **typed).path == "/editor"


def test_the_parameter_is_newer_than_the_page_that_needed_the_login(
    stranger: Reader, alice: User
) -> None:
    stranger.open("/editor")

    page = stranger.open("/login?next=/settings")

    assert stranger.submit(page, BUTTON, email=alice.email, password=PASSWORD).path == "/settings"


def test_a_person_who_is_logged_in_already_goes_on(
    reader_for: Callable[[User], Reader], alice: User
) -> None:
    assert reader_for(alice).get("/login?next=/settings")["Location"] == "/settings"


def test_programs_that_open_the_editor_cost_no_row(
    stranger: Reader, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(0):
        for _ in range(20):
            stranger.get("/editor")

    assert not stranger.has_session
    assert not Session.objects.exists()


def test_the_way_back_is_in_a_cookie_that_no_script_reads(stranger: Reader) -> None:
    answer = stranger.get("/editor")

    cookie = answer.cookies[access.RETURN_TO]
    assert (cookie["httponly"], cookie["samesite"], cookie["max-age"]) == (True, "Lax", 900)
    assert "no-store" in answer["Cache-Control"]


def test_a_changed_or_old_cookie_leads_home(
    stranger: Reader, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    for value in ("/settings", "/settings:x:y", "\x00", "é", "x" * 4000):
        stranger.cookies[access.RETURN_TO] = value
        assert stranger.open("/login").one("input[name=next]").attributes["value"] == "/"

    stranger.open("/settings")
    page = stranger.open("/login")
    assert page.one("input[name=next]").attributes["value"] == "/settings"
    monkeypatch.setattr(time, "time", lambda: 4e9)
    assert stranger.open("/login").one("input[name=next]").attributes["value"] == "/"


def test_a_very_long_address_is_not_kept(stranger: Reader) -> None:
    answer = stranger.get("/editor?" + "a" * 8192)

    assert answer["Location"] == "/login"
    assert len(answer.cookies[access.RETURN_TO].value) < 100


def test_a_button_leads_back_to_its_page(stranger: Reader, alice: User) -> None:
    stranger.handler.enforce_csrf_checks = False

    answer = stranger.post("/profile/alice/follow", {"next": "/profile/alice?page=2"})

    assert (answer.status_code, answer["Location"]) == (303, "/login")
    page = stranger.open("/login")
    assert page.one("input[name=next]").attributes["value"] == "/profile/alice?page=2"


@pytest.mark.parametrize(
    ("referer", "path"),
    [
        ("http://testserver/article/a?page=2", "/article/a?page=2"),
        ("http://evil.example/article/a", "/"),
        ("http://[::1", "/"),
        ("", "/"),
    ],
)
def test_htmx_opens_the_login_as_a_page(stranger: Reader, referer: str, path: str) -> None:
    stranger.handler.enforce_csrf_checks = False
    headers = {"HX-Request": "true", "Referer": referer}

    answer = stranger.post("/article/a/comments", headers=headers)

    assert answer["HX-Redirect"] == "/login"
    page = stranger.open("/login")
    assert page.one("input[name=next]").attributes["value"] == path
