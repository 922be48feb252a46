"""Requests that no reader sends by a click: they get a page that says what is wrong."""

import pytest
from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.test import Client, override_settings
from django.urls import NoReverseMatch
from rest_framework.exceptions import Throttled

from config.bodies.receiving import REFUSED
from tests.website.reader import Page, Reader
from tests.website.routes import ROUTES, address_of
from users.models import User
from website.views import lists

WITH_AND_WITHOUT_DEBUG = pytest.mark.parametrize("debug", [True, False])


@WITH_AND_WITHOUT_DEBUG
def test_a_page_that_does_not_exist_leads_home_and_to_the_search(
    stranger: Reader, debug: bool
) -> None:
    with override_settings(DEBUG=debug):
        page = stranger.open("/?page=7", status=404)

    assert "There is no such page." in page.html
    assert page.one("h1").text() == "This page does not exist"
    assert page.one(".brand").attributes["href"] == "/"
    page.one("form[action='/search'] input[name=q]")
    assert page.one("meta[name=robots]").attributes["content"] == "noindex"


@WITH_AND_WITHOUT_DEBUG
def test_a_wrong_method_gets_a_page_that_names_the_right_ones(db: None, debug: bool) -> None:
    client = Client()
    for method in (client.post, client.put, client.delete, client.options):
        with override_settings(DEBUG=debug):
            page = Page(method("/"))

        assert page.status == 405
        assert page.response["Allow"] == "GET, HEAD"
        assert page.one("h1").text() == "This cannot be done here"


@WITH_AND_WITHOUT_DEBUG
@pytest.mark.parametrize(
    ("code", "status", "heading"),
    [
        ("incomplete", 400, "This request cannot be used"),
        ("not_received", 408, "The form arrived too slowly"),
        ("too_large", 413, "This is too large"),
        ("throttled", 429, "Too many requests"),
    ],
)
def test_a_form_that_the_server_did_not_receive(
    db: None, debug: bool, code: str, status: int, heading: str
) -> None:
    client = Client()
    client.defaults[REFUSED] = code
    with override_settings(DEBUG=debug):
        page = Page(client.post("/"))

    assert (page.status, page.one("h1").text()) == (status, heading)


@WITH_AND_WITHOUT_DEBUG
def test_a_form_without_its_token_gets_a_page(stranger: Reader, debug: bool) -> None:
    with override_settings(DEBUG=debug):
        page = Page(stranger.post("/"))

    assert page.status == 403
    assert "reload the page and send the form again" in page.html


@WITH_AND_WITHOUT_DEBUG
@pytest.mark.parametrize(
    ("failure", "status", "heading"),
    [
        (OperationalError("details"), 503, "The site is not available at the moment"),
        (Throttled(30), 429, "Too many requests"),
        (PermissionDenied("Only the author may do this."), 403, "You may not do this"),
    ],
)
def test_a_view_that_fails_gets_a_page(
    stranger: Reader,
    monkeypatch: pytest.MonkeyPatch,
    debug: bool,
    failure: Exception,
    status: int,
    heading: str,
) -> None:
    def fail(*arguments: object, **names: object) -> None:
        raise failure

    monkeypatch.setattr(lists, "place_of", fail)
    with override_settings(DEBUG=debug):
        page = stranger.open("/", status=status)

    assert page.one("h1").text() == heading
    assert page.one("main > p:nth-of-type(2)").text()
    assert "details" not in page.html
    assert page.response.get("Retry-After") == {503: "1", 429: "30"}.get(status)


def test_no_path_is_an_error_of_the_server(stranger: Reader, alice: User) -> None:
    texts = ["\0", "a\0b", "\ufffe\U0010ffff", "x" * 5_000, "%", "..", "'\"<>", "-1", " ", "é"]
    for route in ROUTES:
        for text in texts:
            try:
                address = address_of(route, text, number=10**30)
            except NoReverseMatch:
                continue
            assert stranger.get(address).status_code < 500, address


def test_no_query_is_an_error_of_the_server(stranger: Reader, alice: User) -> None:
    bad = ["%00", "%ff%fe", "-1", "%ed%a0%80%0d%0a"]
    queries = [
        "&".join(f"{name}={value}" for name in ("page", "q", "next", "feed")) for value in bad
    ]
    for route in ROUTES:
        for query in (*queries, "&&=;", "q=" + "x" * 10_000):
            address = f"{address_of(route, 'alice')}?{query}"
            assert stranger.get(address).status_code < 500, address


def test_strange_paths(stranger: Reader) -> None:
    paths = ["//", "//evil.example/", "/%ff", "/%00", "/tag/", "/" + "x/" * 5_000, "/."]
    for path in (*paths, "/\\evil.example", "/%2f%2fevil.example"):
        response = stranger.get(path)

        assert response.status_code in (200, 400, 404), path
        assert "Location" not in response


@pytest.mark.parametrize(
    "cookie",
    [
        "sessionid=garbage; csrftoken=garbage; messages=garbage",
        "sessionid=" + "x" * 20_000,
        "sessionid=; ;;=; \xff=\x80",
        # Python decodes it as NUL.
        'sessionid="\\000aaaaaaaaaa"; csrftoken="\\000"; messages="\\000"',
    ],
)
def test_strange_cookies(cookie: str, db: None) -> None:
    client = Client()
    for path in ("/", "/feeds/rss"):
        assert client.get(path, HTTP_COOKIE=cookie).status_code == 200
    assert client.post("/", HTTP_COOKIE=cookie).status_code == 405
    assert Client(enforce_csrf_checks=True).post("/", HTTP_COOKIE=cookie).status_code == 403


def test_head_is_answered_like_get(stranger: Reader, alice: User) -> None:
    for route in ROUTES:
        address = address_of(route, "alice")
        full, head = stranger.get(address), stranger.head(address)

        assert head.status_code == full.status_code, address
        assert head.content == b""


def test_an_address_with_a_slash_at_its_end_leads_to_the_page(stranger: Reader) -> None:
    assert stranger.open("/login/").path == "/login"
    assert stranger.open("/robots.txt//").path == "/robots.txt"
    assert stranger.open("/search/?q=a%2Fb").path == "/search?q=a%2Fb"

    assert stranger.get("/", PATH_INFO="//evil.example/login/").status_code == 404


def test_a_form_with_an_old_token_says_what_to_do(stranger: Reader) -> None:
    response = stranger.post("/login", {"email": "a@example.com", "password": "a password"})

    assert response.status_code == 403
    assert "<h1>This form is no longer valid</h1>" in response.content.decode()
