"""Rules for all responses: the error envelope, methods, CORS, formats, rates."""

import json
from collections.abc import Callable
from typing import Any, NoReturn

import pytest
from django.http import HttpResponse
from django.views.generic import TemplateView
from pytest_django import Settings
from rest_framework.throttling import SimpleRateThrottle

from articles.models import Article
from articles.views import ArticleViewSet
from tests.builders import PASSWORD, write_comment
from tests.client import ApiClient
from users.models import User

Api = Callable[..., ApiClient]

ARTICLE = "/api/articles/how-to-train-your-dragon"
SECRET = "an internal detail"


def assert_is_error(response: Any, status: int) -> None:
    assert response.status_code == status
    assert response.headers["Content-Type"].startswith("application/json")
    assert response.json().keys() == {"errors"}
    assert response.json()["errors"]
    for messages in response.json()["errors"].values():
        assert messages
        assert all(isinstance(message, str) and message for message in messages)


def assert_is_html(response: Any, status: int) -> None:
    assert response.status_code == status
    assert response.headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "path",
    [
        "/api",
        "/api/",
        "/api/unknown",
        "/api/unknown/",
        "/api/unknown/path/of/many/parts",
        "/api//user",
        "/api/USER",
        "/api/user.json",
        "/api/users/alice",
        "/api/profiles",
        "/api/profiles/alice/unknown",
        f"{ARTICLE}/unknown",
        f"{ARTICLE}/comments/1/unknown",
        "/api/%00",
        "/api/%FF",
        "/api/%0A",
        "/api/../api",
    ],
)
def test_an_unknown_path_is_404(api: Api, article: Article, path: str, method: str) -> None:
    response = api().generic(method, path, "{}", content_type="application/json")

    assert response.status_code == 404
    if method != "HEAD":
        assert_is_error(response, 404)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "path",
    [
        "/api/users/",
        "/api/users/login/",
        "/api/user/",
        "/api/profiles/",
        "/api/profiles/alice/",
        "/api/profiles/alice/follow/",
        "/api/articles/",
        "/api/articles/feed/",
        f"{ARTICLE}/",
        f"{ARTICLE}/favorite/",
        f"{ARTICLE}/comments/",
        f"{ARTICLE}/comments/1/",
        "/api/tags/",
        "/api/tags//",
    ],
)
def test_a_trailing_slash_is_404_and_not_a_redirect(
    api: Api, alice: User, article: Article, path: str, method: str
) -> None:
    for client in (api(), api(alice)):
        response = client.generic(method, path, "{}", content_type="application/json")

        assert response.status_code == 404
        assert "Location" not in response.headers
        if method != "HEAD":
            assert_is_error(response, 404)


@pytest.mark.parametrize("debug", [False, True])
def test_an_unknown_path_is_404_with_debug_too(api: Api, settings: Settings, debug: bool) -> None:
    settings.DEBUG = debug

    assert_is_error(api().get("/api/unknown"), 404)
    assert_is_error(api().post("/api/articles/", {}), 404)


@pytest.mark.parametrize("path", ["/health/", "/livez/", "/readyz/", "/metrics/"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_paths_for_operators_have_no_trailing_slash_either(
    api: Api, path: str, method: str
) -> None:
    response = api().generic(method, path)

    assert response.status_code == 404
    assert "Location" not in response.headers


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/api/users", ["GET", "PUT", "PATCH", "DELETE", "TRACE"]),
        ("/api/users/login", ["GET", "PUT", "PATCH", "DELETE"]),
        ("/api/user", ["POST", "PATCH", "DELETE", "PROPFIND"]),
        ("/api/profiles/alice", ["POST", "PUT", "PATCH", "DELETE"]),
        ("/api/profiles/alice/follow", ["GET", "PUT", "PATCH"]),
        ("/api/articles", ["PUT", "PATCH", "DELETE"]),
        ("/api/articles/feed", ["POST"]),
        (ARTICLE, ["POST", "PATCH", "TRACE"]),
        (f"{ARTICLE}/favorite", ["GET", "PUT", "PATCH"]),
        (f"{ARTICLE}/comments", ["PUT", "PATCH", "DELETE"]),
        (f"{ARTICLE}/comments/1", ["GET", "POST", "PUT", "PATCH"]),
        ("/api/tags", ["POST", "PUT", "PATCH", "DELETE", "X-RAY"]),
    ],
)
def test_another_method_is_405(
    api: Api, alice: User, article: Article, path: str, methods: list[str]
) -> None:
    client = api(alice)

    for method in methods:
        response = client.generic(method, path, "{}", content_type="application/json")

        assert_is_error(response, 405)
        assert method not in response.headers["Allow"]


@pytest.mark.parametrize(
    "path", ["/api/tags", "/api/articles", "/api/profiles/alice", ARTICLE, f"{ARTICLE}/comments"]
)
def test_head_is_get_without_a_body(api: Api, article: Article, path: str) -> None:
    response = api().head(path)

    assert response.status_code == 200
    assert response.content == b""


def test_head_needs_what_get_needs(api: Api, alice: User) -> None:
    assert api(alice).head("/api/user").status_code == 200
    assert api().head("/api/user").status_code == 401
    assert api().head("/api/profiles/nobody").status_code == 404


@pytest.fixture
def unchanged_content(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test client keeps the content of a 204, which it removes otherwise."""

    def unchanged(request: Any, response: HttpResponse) -> HttpResponse:
        return response

    monkeypatch.setattr("django.test.client.conditional_content_removal", unchanged)


@pytest.mark.usefixtures("unchanged_content")
def test_204_has_no_body(api: Api, alice: User, article: Article) -> None:
    comment = write_comment(alice, article)

    for path in (f"{ARTICLE}/comments/{comment.pk}", ARTICLE):
        response = api(alice).delete(path)

        assert response.status_code == 204
        assert response.content == b""
        assert response.headers.get("Content-Length", "0") == "0"
        assert "Content-Type" not in response.headers


@pytest.mark.parametrize(
    "accept",
    [
        "text/html",
        "application/xml",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "image/png",
        "application/json;q=0",
        "application/vnd.api+json",
        "nonsense",
        "",
        ";;;,,,/",
        "é",
    ],
)
def test_the_answer_is_json_for_any_accept_header(
    api: Api, alice: User, article: Article, accept: str
) -> None:
    client = api(alice, HTTP_ACCEPT=accept)

    for path, status in (
        ("/api/tags", 200),
        ("/api/user", 200),
        ("/api/articles", 200),
        ("/api/user?format=html", 200),
        ("/api/articles/unknown", 404),
        ("/api/unknown", 404),
        ("/api/users", 405),
    ):
        response = client.get(path)

        assert response.status_code == status
        assert response.headers["Content-Type"].startswith("application/json")
        assert response.json()
    assert_is_error(client.post("/api/users", {"user": {}}), 422)
    assert_is_error(client.post("/api/users", b"{"), 400)
    assert_is_error(client.post("/api/users", b"x", content_type="text/plain"), 415)


def test_an_unknown_host_is_400(api: Api) -> None:
    assert_is_error(api().get("/api/tags", headers={"Host": "evil.example"}), 400)


def test_1001_query_parameters_are_not_a_server_error(api: Api, article: Article) -> None:
    response = api().get("/api/articles?" + "&".join(f"a{n}=1" for n in range(1_001)))

    assert response.status_code in (200, 400)
    if response.status_code == 400:
        assert_is_error(response, 400)


@pytest.mark.django_db
def test_other_pages_are_html(api: Api) -> None:
    assert_is_html(api().get("/"), 200)
    assert_is_html(api().get("/admin/login/"), 200)


@pytest.mark.parametrize(
    "path", ["/unknown", "/apiary", "/apiary/user", "/api.json", "/unknown/api/"]
)
def test_an_unknown_page_is_html(api: Api, path: str) -> None:
    assert_is_html(api().get(path), 404)


def test_a_broken_page_is_html(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TemplateView, "render_to_response", fail)

    response = api(raise_request_exception=False).get("/")

    assert_is_html(response, 500)
    assert SECRET not in response.text


def fail(*args: Any, **options: Any) -> NoReturn:
    raise RuntimeError(SECRET)


@pytest.mark.parametrize("debug", [False, True])
def test_an_unexpected_exception_is_500(
    api: Api, article: Article, monkeypatch: pytest.MonkeyPatch, settings: Settings, debug: bool
) -> None:
    settings.DEBUG = debug
    monkeypatch.setattr(ArticleViewSet, "check_permissions", fail)
    client = api(article.author, raise_request_exception=False)

    for response in (
        client.get("/api/articles"),
        client.get(ARTICLE),
        client.put(ARTICLE, {"article": {"body": "x"}}),
        client.delete(ARTICLE),
    ):
        assert_is_error(response, 500)
        assert SECRET not in response.text
        assert "RuntimeError" not in response.text


@pytest.mark.parametrize("exception", [KeyError, ValueError, TypeError, AssertionError, OSError])
@pytest.mark.django_db
def test_every_unexpected_exception_is_500(
    api: Api, monkeypatch: pytest.MonkeyPatch, exception: type[Exception]
) -> None:
    def fail(*args: Any, **options: Any) -> NoReturn:
        raise exception(SECRET)

    monkeypatch.setattr(User, "save", fail)
    user = {"username": "alice", "email": "alice@example.com", "password": PASSWORD}

    response = api(raise_request_exception=False).post("/api/users", {"user": user})

    assert_is_error(response, 500)
    assert SECRET not in response.text


def test_an_exception_outside_a_view_is_500(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django.middleware.common.CommonMiddleware.process_request", fail)

    response = api(raise_request_exception=False).get("/api/tags")

    assert_is_error(response, 500)
    assert SECRET not in response.text


def test_a_500_is_logged_with_its_cause(
    api: Api, article: Article, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ArticleViewSet, "check_permissions", fail)

    api(raise_request_exception=False).get(ARTICLE)

    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    assert any(record.exc_info and SECRET in str(record.exc_info[1]) for record in errors)


ORIGIN = "https://front.example"


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/api/users", "POST"),
        ("/api/users/login", "POST"),
        ("/api/user", "GET"),
        ("/api/user", "PUT"),
        ("/api/articles", "POST"),
        ("/api/articles/unknown", "DELETE"),
        ("/api/profiles/unknown/follow", "POST"),
        ("/api/tags", "GET"),
    ],
)
@pytest.mark.parametrize("origin", [ORIGIN, "http://localhost:4100", "null"])
def test_a_preflight_allows_the_token_and_json(
    api: Api, path: str, method: str, origin: str
) -> None:
    response = api().options(
        path,
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": "authorization,content-type",
        },
    )

    assert response.status_code in (200, 204)
    assert response.headers["Access-Control-Allow-Origin"] in ("*", origin)
    allowed = response.headers["Access-Control-Allow-Headers"].lower().replace(" ", "").split(",")
    assert {"authorization", "content-type"} <= set(allowed)
    assert method in response.headers["Access-Control-Allow-Methods"]


def test_answers_allow_any_origin(api: Api, alice: User, article: Article) -> None:
    client = api(alice, HTTP_ORIGIN=ORIGIN)
    stranger = api(headers={"Origin": ORIGIN, "Authorization": "Token garbage"})

    for response, status in (
        (client.get("/api/user"), 200),
        (client.get("/api/articles"), 200),
        (client.post("/api/articles", {"article": {}}), 422),
        (client.post("/api/articles", b"{"), 400),
        (client.get("/api/articles/unknown"), 404),
        (client.get("/api/unknown"), 404),
        (client.get("/api/articles/"), 404),
        (client.patch("/api/user"), 405),
        (stranger.get("/api/user"), 401),
        (client.delete(ARTICLE), 204),
    ):
        assert response.status_code == status
        assert response.headers["Access-Control-Allow-Origin"] in ("*", ORIGIN)
        # Credentials are cookies, and the API uses none.
        assert "Access-Control-Allow-Credentials" not in response.headers


def test_a_500_allows_any_origin_too(
    api: Api, article: Article, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ArticleViewSet, "check_permissions", fail)

    response = api(raise_request_exception=False, headers={"Origin": ORIGIN}).get(ARTICLE)

    assert_is_error(response, 500)
    assert response.headers["Access-Control-Allow-Origin"] in ("*", ORIGIN)


@pytest.mark.django_db
def test_a_setting_limits_the_origins(api: Api, settings: Settings) -> None:
    settings.CORS_ALLOWED_ORIGINS = [ORIGIN]
    settings.CORS_ALLOW_ALL_ORIGINS = False

    ours = api(headers={"Origin": ORIGIN}).get("/api/tags")
    preflight = api().options(
        "/api/tags", headers={"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}
    )
    theirs = api(headers={"Origin": "https://other.example"}).get("/api/tags")

    assert ours.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "Access-Control-Allow-Origin" not in theirs.headers
    assert preflight.headers["Access-Control-Allow-Origin"] == ORIGIN


@pytest.mark.django_db
def test_the_api_sets_no_cookie(api: Api, alice: User) -> None:
    client = api(alice)

    for path in ("/api/tags", "/api/user", "/api/unknown", "/api/articles"):
        assert not client.get(path).cookies


@pytest.fixture
def low_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two registrations and two logins a minute."""
    for scope in ("register", "login"):
        monkeypatch.setitem(SimpleRateThrottle.THROTTLE_RATES, scope, "2/minute")


def register(client: ApiClient, number: int) -> Any:
    user = {"username": f"user{number}", "email": f"{number}@example.com", "password": PASSWORD}
    return client.post("/api/users", {"user": user})


def log_in(client: ApiClient, password: str = PASSWORD) -> Any:
    user = {"email": "alice@example.com", "password": password}
    return client.post("/api/users/login", {"user": user})


def assert_is_throttled(response: Any) -> None:
    assert response.status_code == 429
    assert response.json() == {"errors": {"request": ["was throttled"]}}
    assert 1 <= int(response.headers["Retry-After"]) <= 60


@pytest.mark.usefixtures("low_rates")
@pytest.mark.django_db
def test_too_many_registrations_are_throttled(api: Api) -> None:
    assert register(api(), 1).status_code == 201
    assert register(api(), 2).status_code == 201

    assert_is_throttled(register(api(), 3))
    assert not User.objects.filter(username="user3").exists()


@pytest.mark.usefixtures("low_rates")
def test_too_many_logins_are_throttled(api: Api, alice: User) -> None:
    assert log_in(api()).status_code == 200
    assert log_in(api(), "wrong horse").status_code == 401

    assert_is_throttled(log_in(api()))
    assert_is_throttled(log_in(api(), "wrong horse"))


@pytest.mark.usefixtures("low_rates")
def test_each_kind_of_request_has_its_own_rate(api: Api, alice: User) -> None:
    for number in range(3):
        response = register(api(), number)

    assert_is_throttled(response)
    assert log_in(api()).status_code == 200
    for _ in range(5):
        assert api().get("/api/tags").status_code == 200
        assert api(alice).get("/api/user").status_code == 200


@pytest.mark.usefixtures("low_rates")
def test_each_address_has_its_own_rate(api: Api, alice: User) -> None:
    for _ in range(3):
        response = log_in(api(REMOTE_ADDR="192.0.2.1"))

    assert_is_throttled(response)
    assert log_in(api(REMOTE_ADDR="192.0.2.2")).status_code == 200
    assert log_in(api(REMOTE_ADDR="2001:db8::1")).status_code == 200


@pytest.mark.usefixtures("low_rates")
def test_a_forged_x_forwarded_for_does_not_change_the_address(api: Api, alice: User) -> None:
    for number in range(3):
        response = log_in(api(headers={"X-Forwarded-For": f"192.0.2.{number}"}))

    assert_is_throttled(response)


@pytest.mark.usefixtures("low_rates")
def test_a_token_does_not_change_the_rate_of_an_address(api: Api, alice: User, bob: User) -> None:
    for user in (alice, bob, None):
        response = log_in(api(user))

    assert_is_throttled(response)


@pytest.mark.usefixtures("low_rates")
def test_refused_requests_count_too(api: Api) -> None:
    for _ in range(2):
        assert_is_error(api().post("/api/users/login", {"user": {}}), 422)

    assert_is_throttled(api().post("/api/users/login", json.dumps({"user": {}}).encode()))


@pytest.mark.django_db
def test_2000_query_parameters_are_400(api: Api) -> None:
    query = "&".join(f"name{number}=value" for number in range(2_000))

    response = api().get(f"/api/articles?{query}")

    assert response.status_code == 400
    assert response.json() == {"errors": {"request": ["is invalid"]}}
