"""The middleware of a request: the API skips sessions, and every path has the protections."""

import pytest
from django.core import checks
from django.http import HttpRequest, JsonResponse
from django.test import Client
from django.urls import include, path, reverse

from tests.builders import PASSWORD, make_user
from users.models import User

FROM_COOKIES = {"session", "user", "_messages"}


def show_cookie_attributes(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"got": sorted(FROM_COOKIES & vars(request).keys())})


urlpatterns = [
    path("page", show_cookie_attributes),
    path("api/view", show_cookie_attributes),
    path("", include("config.urls")),
]


@pytest.fixture
def editor(db: None) -> User:
    return make_user("editor", is_staff=True, is_superuser=True)


@pytest.mark.urls(__name__)
def test_pages_read_the_session_cookie_and_the_api_does_not(client: Client, editor: User) -> None:
    client.force_login(editor)

    assert client.get("/page").json() == {"got": sorted(FROM_COOKIES)}
    assert client.get("/api/view").json() == {"got": []}


@pytest.mark.urls(__name__)
@pytest.mark.parametrize("path", ["/page", "/api/view"])
def test_a_post_without_a_csrf_token_is_refused_everywhere(path: str, db: None) -> None:
    assert Client(enforce_csrf_checks=True).post(path).status_code == 403


def test_the_admin_requires_a_login(client: Client) -> None:
    response = client.get(reverse("admin:index"))

    assert response.status_code == 302
    assert response.headers["Location"].startswith(reverse("admin:login"))


def test_the_admin_accepts_only_forms_with_its_csrf_token(editor: User) -> None:
    browser = Client(enforce_csrf_checks=True)
    form = {"username": editor.email, "password": PASSWORD}

    forged = browser.post(reverse("admin:login"), form)
    browser.get(reverse("admin:login"))
    token = browser.cookies["csrftoken"].value
    sent = browser.post(reverse("admin:login"), form | {"csrfmiddlewaretoken": token})

    assert (forged.status_code, sent.status_code) == (403, 302)
    assert browser.get(reverse("admin:index")).status_code == 200


@pytest.mark.parametrize("path", ["/login", "/api/nothing", "/livez"])
def test_every_response_has_the_security_headers(client: Client, path: str) -> None:
    headers = client.get(path).headers

    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"


@pytest.mark.parametrize("origin", [{}, {"Origin": "https://front.example"}])
def test_only_responses_of_the_api_vary_by_origin(client: Client, origin: dict[str, str]) -> None:
    assert client.get("/api/nothing", headers=origin).headers["Vary"].lower() == "origin"
    assert "Vary" not in client.get("/livez", headers=origin).headers


def test_no_middleware_copies_the_headers_of_a_request(client: Client) -> None:
    request = client.get("/api/nothing").wsgi_request

    assert "headers" not in vars(request)  # this cached property copies all headers: 5 µs


def test_the_system_checks_miss_no_middleware() -> None:
    messages = checks.run_checks(include_deployment_checks=True)

    # admin.E408 to E410 and security.W001 to W003 are about MIDDLEWARE.
    about = [f"admin.E4{number:02}" for number in range(8, 11)]
    about += [f"security.W00{number}" for number in range(1, 4)]
    assert not {message.id for message in messages} & {*about}
