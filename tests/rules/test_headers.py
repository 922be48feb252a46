"""The headers that protect readers, on every kind of response."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import include, path
from django.utils.csp import CSP
from django.views.decorators.csp import csp_override

from config.page_headers import API_POLICY
from tests.builders import make_user

STRICT = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "font-src": "'self'",
    "img-src": "'self' http: https: data:",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
    "object-src": "'none'",
}
FOR_ALL = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
EVERYWHERE = FOR_ALL | {"X-Frame-Options": "DENY"}


def bug(request: HttpRequest) -> HttpResponse:
    raise RuntimeError


@csp_override({"default-src": [CSP.SELF]})
def own(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


urlpatterns = [path("bug", bug), path("own", own), path("", include("config.urls"))]
handler500 = "config.errors.handlers.server_error"


def policy(response: Any) -> dict[str, str]:
    """The directives of a response without the nonces."""
    directives = {}
    for directive in response.headers["Content-Security-Policy"].split("; "):
        name, _, values = directive.partition(" ")
        kept = [value for value in values.split(" ") if not value.startswith("'nonce-")]
        directives[name] = " ".join(kept)
    return directives


@pytest.mark.urls(__name__)
@override_settings(DEBUG=False)
@pytest.mark.parametrize(
    "address",
    ["/", "/no-such-page", "/bug", "/health", "/livez", "/metrics", "/static/admin/css/base.css"],
)
def test_a_page_has_the_strict_policy(address: str, db: None) -> None:
    with override_settings(WHITENOISE_USE_FINDERS=True, WHITENOISE_AUTOREFRESH=True):
        response = Client(raise_request_exception=False).get(address)
    response.close()

    assert policy(response) == STRICT
    assert EVERYWHERE.items() <= dict(response.headers).items()
    assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "camera=()" in response.headers["Permissions-Policy"]


def test_the_admin_has_a_policy_of_its_own(db: None) -> None:
    client = Client()
    pages = [client.get("/admin/login/"), client.get("/admin/")]
    client.force_login(make_user("editor", is_staff=True, is_superuser=True))
    pages += [client.get("/admin/"), client.get("/admin/articles/article/add/")]

    assert [page.status_code for page in pages] == [200, 302, 200, 200]
    for page in pages:
        assert policy(page) == STRICT | {
            # Alpine.js evaluates the expressions of Unfold's templates.
            "script-src": "'self' 'unsafe-eval'",
            # Unfold has elements <style> and sets attributes `style`.
            "style-src": "'self' 'unsafe-inline'",
            # Unfold opens related rows in a frame.
            "frame-src": "'self'",
            "frame-ancestors": "'self'",
        }
        # Of pages with a list or a form, Unfold sets the second.
        assert page.headers["X-Frame-Options"] in ("DENY", "SAMEORIGIN")
        assert FOR_ALL.items() <= dict(page.headers).items()


def test_json_of_the_api_has_a_policy_that_allows_nothing(client: Client, db: None) -> None:
    for address in ("/api/tags", "/api/user", "/api/no-such-path"):
        response = client.get(address)

        assert response.headers["Content-Security-Policy"] == API_POLICY
        assert EVERYWHERE.items() <= dict(response.headers).items()
        # Pages of other sites may call the API.
        assert "Cross-Origin-Resource-Policy" not in response.headers


@pytest.mark.parametrize("address", ["/api/docs", "/api/redoc"])
def test_the_pages_about_the_api_have_policies_of_their_own(client: Client, address: str) -> None:
    found = policy(client.get(address))

    assert (found["default-src"], found["script-src"]) == ("'none'", "'self'")
    assert (found["base-uri"], found["frame-ancestors"]) == ("'none'", "'none'")


@pytest.mark.urls(__name__)
def test_a_view_can_have_a_policy_of_its_own(client: Client) -> None:
    assert policy(client.get("/own")) == {"default-src": "'self'"}


def test_a_redirect_has_the_headers(client: Client) -> None:
    with override_settings(SECURE_SSL_REDIRECT=True):
        response = client.get("/")

    assert response.status_code == 301
    assert EVERYWHERE.items() <= dict(response.headers).items()


SHOW = """
import django, json
django.setup()
from django.conf import settings
from django.test import Client
from django.core.management import call_command
from io import StringIO
settings.STATIC_ROOT = {static!r}
stderr = StringIO()
call_command("check", deploy=True, fail_level="DEBUG", stderr=stderr, stdout=stderr)
secure = {{"HTTP_HOST": "conduit.example.com", "HTTP_X_FORWARDED_PROTO": "https"}}
page = Client().get("/admin/login/", **secure)
plain = Client().get("/admin/login/", HTTP_HOST="conduit.example.com")
api = Client().get("/api/no-such-path", **secure)
print(json.dumps({{
    "check": stderr.getvalue(),
    "plain": [plain.status_code, plain["Location"]],
    "page": dict(page.headers),
    "api": dict(api.headers),
    "cookies": {{name: dict(cookie) for name, cookie in page.cookies.items()}},
    "session": [settings.SESSION_COOKIE_NAME, settings.SESSION_COOKIE_SECURE,
                settings.SESSION_COOKIE_HTTPONLY, settings.SESSION_COOKIE_SAMESITE],
}}))
"""


def test_check_deploy_is_clean_with_https(tmp_path: Path) -> None:
    """Production settings, in a process of their own."""
    (tmp_path / "staticfiles.json").write_text('{"version": "1.1", "paths": {}, "hash": ""}')
    environment = {
        "PATH": os.environ["PATH"],
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "ENV_FILE": os.devnull,
        "HTTPS": "on",
        "ALLOWED_HOSTS": "conduit.example.com",
        "SECRET_KEY": "a4c9d2e8f7b6a5c4d3e2f1a0b9c8d7e6f5a4b3c2d1e0f9a8b7",
        "DATABASE_URL": "postgres://nobody@127.0.0.1:1/nothing?sslmode=verify-full",
        "EMAIL_URL": "smtp+tls://conduit:secret@mail.example.com:587",
        "EMAIL_FROM": "Conduit <conduit@example.com>",
    }
    process = subprocess.run(  # noqa: S603 -- this Python
        [sys.executable, "-c", SHOW.format(static=str(tmp_path))],
        env=environment,
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert process.returncode == 0, process.stderr
    found = json.loads(process.stdout.splitlines()[-1])

    assert found["check"] == "System check identified no issues (1 silenced).\n"
    assert found["plain"] == [301, "https://conduit.example.com/admin/login/"]
    for kind in ("page", "api"):
        assert found[kind]["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"
    assert "upgrade-insecure-requests" in found["page"]["Content-Security-Policy"]
    cookie = found["cookies"]["__Host-csrftoken"]
    assert (cookie["secure"], cookie["httponly"], cookie["samesite"]) == (True, True, "Lax")
    assert (cookie["path"], cookie["domain"]) == ("/", "")
    assert found["session"] == ["__Host-sessionid", True, True, "Lax"]


def test_a_collected_file_has_the_headers(tmp_path: Path, db: None) -> None:
    (tmp_path / "style.css").write_text("")
    with override_settings(
        DEBUG=False,
        STATIC_ROOT=str(tmp_path),
        WHITENOISE_USE_FINDERS=False,
        WHITENOISE_AUTOREFRESH=False,
    ):
        response = Client().get("/static/style.css")
    response.close()

    assert response.status_code == 200
    assert policy(response) == STRICT
    assert EVERYWHERE.items() <= dict(response.headers).items()
