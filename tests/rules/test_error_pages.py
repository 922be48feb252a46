"""The pages that browsers show for errors."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import BadRequest, PermissionDenied
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import include, path

from tests.builders import make_user
from users.password_queue import PasswordQueueFull

REQUEST_ID = "an-id-of-a-proxy"


def bad(request: HttpRequest) -> HttpResponse:
    raise BadRequest("details")


def forbidden(request: HttpRequest) -> HttpResponse:
    raise PermissionDenied("Only <owners> may do this.")


def busy(request: HttpRequest) -> HttpResponse:
    raise PasswordQueueFull(2)


def bug(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("details")


def disconnected(request: HttpRequest) -> HttpResponse:
    raise OperationalError("details")


urlpatterns = [
    path("bad", bad),
    path("forbidden", forbidden),
    path("busy", busy),
    path("bug", bug),
    path("admin/bug", bug),
    path("disconnected", disconnected),
    path("", include("config.urls")),
]
handler400 = "config.errors.handlers.bad_request"
handler403 = "config.errors.handlers.permission_denied"
handler404 = "config.errors.handlers.page_not_found"
handler500 = "config.errors.handlers.server_error"


@pytest.fixture(autouse=True)
def the_urls_above() -> Iterator[None]:
    with override_settings(ROOT_URLCONF=__name__, DEBUG=False):
        yield


@pytest.fixture
def browser() -> Client:
    return Client(raise_request_exception=False, headers={"X-Request-Id": REQUEST_ID})


@pytest.mark.parametrize(
    ("address", "status", "sentence"),
    [
        ("/bad", 400, "a value that this site does not understand"),
        ("/forbidden", 403, "Only &lt;owners&gt; may do this."),
        ("/no-such-page", 404, "The address may be wrong"),
        ("/busy", 429, "Too many people are logging in."),
        ("/bug", 500, "The error was logged"),
        ("/disconnected", 503, "The database is unavailable."),
    ],
)
def test_each_error_has_a_page(
    browser: Client, address: str, status: int, sentence: str, db: None
) -> None:
    response = browser.get(address)
    page = response.content.decode()

    assert response.status_code == status
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert sentence in page
    assert page.count("<h1>") == 1
    assert REQUEST_ID in page
    assert '<a href="/">' in page
    assert "details" not in page
    assert ('<a href="">Try again</a>' in page) == (status == 503)


def test_a_page_of_the_admin_leads_back_to_the_admin(browser: Client) -> None:
    assert '<a href="/admin/">' in browser.get("/admin/bug").content.decode()
    assert '<a href="/admin/">' not in browser.get("/bug").content.decode()


def test_an_unknown_host_gets_a_page_without_a_traceback(browser: Client) -> None:
    for secure in (False, True):
        with override_settings(SECURE_SSL_REDIRECT=not secure):
            response = Client(raise_request_exception=False).get(
                "/", secure=secure, headers={"Host": "evil.example"}
            )

        assert response.status_code == 400
        assert "This request cannot be used" in response.content.decode()
        assert "evil.example" not in response.content.decode()
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]


@pytest.mark.parametrize("debug", [True, False])
def test_a_form_without_its_token_gets_a_page_that_says_what_to_do(debug: bool) -> None:
    with override_settings(DEBUG=debug):
        response = Client(enforce_csrf_checks=True).post("/admin/login/")

    assert response.status_code == 403
    assert "reload the page and send the form again" in response.content.decode()


def test_django_shows_its_technical_pages_with_debug(browser: Client) -> None:
    with override_settings(DEBUG=True):
        missing, failed = browser.get("/no-such-page"), browser.get("/bug")

    assert b"DEBUG = True" in missing.content
    assert b"Traceback" in failed.content
    # They have inline scripts.
    assert "Content-Security-Policy" not in failed.headers


def test_a_page_needs_no_query_and_no_session(
    browser: Client, django_assert_num_queries: Any, db: None
) -> None:
    browser.force_login(make_user("editor", is_staff=True))

    with django_assert_num_queries(0):
        assert browser.get("/bug").status_code == 500


@pytest.mark.parametrize("content", [None, "{% no_such_tag %}"])
def test_a_broken_template_still_gives_a_page(
    browser: Client, tmp_path: Path, content: str | None
) -> None:
    if content:
        (tmp_path / "errors").mkdir()
        (tmp_path / "errors/page.html").write_text(content)
    templates = [settings.TEMPLATES[0] | {"DIRS": [tmp_path]}]
    with override_settings(TEMPLATES=templates):
        response = browser.get("/forbidden")

    assert response.status_code == 403
    assert "Only &lt;owners&gt; may do this." in response.content.decode()
    assert REQUEST_ID in response.content.decode()


def test_the_style_of_the_page_has_the_nonce_of_the_policy(browser: Client) -> None:
    nonces = set()
    for _ in range(2):
        response = browser.get("/bug")
        (nonce,) = re.findall(r'<style nonce="([^"]+)">', response.content.decode())
        assert f"style-src 'self' 'nonce-{nonce}'" in response.headers["Content-Security-Policy"]
        nonces.add(nonce)

    assert len(nonces) == 2


def test_the_api_answers_with_json(browser: Client) -> None:
    response = browser.get("/api/no-such-path", headers={"Accept": "text/html"})

    assert (response.status_code, response.json()) == (404, {"errors": {"path": ["not found"]}})
