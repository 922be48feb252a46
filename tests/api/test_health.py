import socket
from collections.abc import Callable, Iterator
from copy import deepcopy
from wsgiref.util import setup_testing_defaults

import pytest
from django.db import connections
from django.db.backends.postgresql.base import DatabaseWrapper
from prometheus_client import REGISTRY
from pytest_django import DjangoDbBlocker, Settings

from database.health import answer_probe
from database.metrics import flush
from tests.client import ApiClient

type Answer = tuple[int, dict[str, str], bytes]

Api = Callable[..., ApiClient]

PATHS = ["/health", "/livez", "/readyz"]
PROBED = [*PATHS, "/metrics"]


@pytest.fixture
def unreachable_database(django_db_blocker: DjangoDbBlocker) -> Iterator[int]:
    """A database address that refuses connections: the port is bound, but nothing listens.

    A bound port cannot be taken by another process during the test.
    """
    with socket.socket() as port, django_db_blocker.unblock():
        port.bind(("127.0.0.1", 0))
        number = port.getsockname()[1]
        reachable = connections["default"]
        assert isinstance(reachable, DatabaseWrapper)
        settings = deepcopy(reachable.settings_dict)
        settings |= {"HOST": "127.0.0.1", "PORT": number, "PASSWORD": "a secret"}
        settings["OPTIONS"].pop("embedded", None)
        settings["OPTIONS"]["pool"] = {"min_size": 0, "max_size": 1, "timeout": 0.3}
        # Another alias has another pool.
        unreachable = type(reachable)(settings, alias="unreachable")
        connections["default"] = unreachable
        try:
            yield number
        finally:
            connections["default"] = reachable
            unreachable.close()
            unreachable.close_pool()


@pytest.mark.django_db
def test_it_reports_a_connected_database(api: Api) -> None:
    response = api().get("/health")

    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("application/json")
    assert response.json()["status"] == "ok"
    assert response.json()["database"] == "connected"


def test_it_reports_an_unreachable_database(api: Api, unreachable_database: int) -> None:
    response = api().get("/health")

    assert response.status_code == 503
    assert response.headers["Content-Type"].startswith("application/json")
    assert response.json()["status"] == "error"
    assert response.json()["database"] == "disconnected"
    assert response.json()["error"].endswith(
        "Is the server running on that host and accepting TCP/IP connections?"
    )


@pytest.mark.django_db
def test_it_shows_the_pool(api: Api) -> None:
    pool = api().get("/health").json()["pool"]

    assert pool["max"] == 8
    assert sorted(pool) == ["idle", "in_use", "max", "size", "waiting"]


@pytest.mark.django_db
@pytest.mark.parametrize("header", [{"X-Forwarded-For": "192.0.2.1"}, {"Forwarded": "for=_"}])
def test_it_shows_no_pool_figures_through_a_proxy(api: Api, header: dict[str, str]) -> None:
    assert api(headers=header).get("/health").json() == {"status": "ok", "database": "connected"}


@pytest.mark.django_db
def test_it_shows_the_pool_figures_with_the_token(api: Api, settings: Settings) -> None:
    settings.METRICS_TOKEN = "a token for the metrics"
    authorized = api(headers={"Authorization": "Bearer a token for the metrics"})

    assert "pool" in authorized.get("/health").json()
    assert api().get("/health").json() == {"status": "ok", "database": "connected"}


def test_it_hides_the_address_of_the_database_without_the_token(
    api: Api, unreachable_database: int, settings: Settings
) -> None:
    settings.METRICS_TOKEN = "a token for the metrics"

    assert api().get("/health").json() == {
        "status": "error",
        "database": "disconnected",
        "error": "is unavailable",
    }


def test_it_never_shows_the_password_or_internals(api: Api, unreachable_database: int) -> None:
    text = api().get("/health").text

    assert "127.0.0.1" in text
    for detail in ("a secret", "Traceback", "psycopg"):
        assert detail not in text


def test_the_process_is_live_without_the_database(api: Api, unreachable_database: int) -> None:
    response = api().get("/livez")

    assert response.status_code == 200
    assert response.json() == {"status": "ok"}


@pytest.mark.django_db
def test_the_process_is_ready_with_the_database(api: Api) -> None:
    response = api().get("/readyz")

    assert response.status_code == 200
    assert response.json() == {"status": "ok"}


def test_the_process_is_not_ready_without_the_database(api: Api, unreachable_database: int) -> None:
    response = api().get("/readyz")

    assert response.status_code == 503
    assert response.json() == {"status": "error", "reason": "unreachable"}


@pytest.mark.django_db
def test_the_result_of_a_check_is_kept_for_a_second(
    api: Api, request: pytest.FixtureRequest
) -> None:
    assert api().get("/readyz").status_code == 200
    request.getfixturevalue("unreachable_database")

    assert api().get("/readyz").status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("header", ["Token garbage", "Basic eDp5", ""])
def test_probes_need_no_token(api: Api, path: str, header: str) -> None:
    assert api(headers={"Authorization": header}).get(path).status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize("path", PATHS)
def test_head_is_get_without_a_body(api: Api, path: str) -> None:
    response = api().head(path)

    assert response.status_code == 200
    assert response.content == b""


@pytest.mark.django_db
@pytest.mark.parametrize("path", PATHS)
def test_post_is_not_allowed(api: Api, path: str) -> None:
    assert api().post(path).status_code == 405


@pytest.mark.django_db
@pytest.mark.parametrize("path", PATHS)
def test_proxies_must_not_cache_the_answer(api: Api, path: str) -> None:
    assert "no-store" in api().get(path).headers["Cache-Control"]


@pytest.mark.django_db
@pytest.mark.parametrize("path", PROBED)
def test_a_probe_may_use_any_host_name(api: Api, path: str) -> None:
    assert api(headers={"Host": "10.20.30.40:8000"}).get(path).status_code == 200
    assert api(headers={"Host": "10.20.30.40:8000"}).get("/api/tags").status_code == 400


@pytest.mark.django_db
@pytest.mark.parametrize("path", PROBED)
def test_a_probe_is_not_redirected_to_https(api: Api, settings: Settings, path: str) -> None:
    settings.SECURE_SSL_REDIRECT = True

    assert api().get(path).status_code == 200
    assert api().get("/api/tags").status_code == 301


@pytest.mark.parametrize("path", PATHS)
def test_a_session_cookie_causes_no_query(api: Api, unreachable_database: int, path: str) -> None:
    client = api()
    client.cookies["sessionid"] = "somebody's"

    assert client.get(path).status_code == {"/livez": 200}.get(path, 503)


def answer_before_django(path: str, method: str = "GET") -> Answer | None:
    """The status, the headers and the body that `answer_probe` gives."""
    started: list[tuple[str, list[tuple[str, str]]]] = []
    environ = {"PATH_INFO": path, "REQUEST_METHOD": method}
    setup_testing_defaults(environ)
    body = answer_probe(environ, lambda *given: started.append(given))  # type: ignore[arg-type]  # no write()
    if body is None:
        assert not started
        return None
    [(status, headers)] = started
    return int(status.split()[0]), dict(headers), b"".join(body)


def assert_same_answers(api: Api, path: str) -> None:
    for method in ("GET", "HEAD"):
        view = api().generic(method, path)
        answer = answer_before_django(path, method)

        assert answer is not None
        status, headers, body = answer
        assert (status, body) == (view.status_code, view.content)
        for name in ("Content-Type", "Content-Length", "Cache-Control", "X-Content-Type-Options"):
            assert headers[name] == view.headers[name]
        assert "Expires" in headers


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_a_probe_gets_the_answer_of_the_view_before_django(api: Api, path: str) -> None:
    assert_same_answers(api, path)


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_a_probe_gets_the_answer_of_the_view_without_the_database(
    api: Api, unreachable_database: int, path: str
) -> None:
    assert_same_answers(api, path)


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/livez"), ("OPTIONS", "/readyz"), ("GET", "/livez/"), ("GET", "/health")],
)
def test_other_requests_are_left_to_django(method: str, path: str) -> None:
    assert answer_before_django(path, method) is None


def test_a_probe_is_counted_like_other_requests() -> None:
    labels = {"method": "GET", "route": "livez", "status": "200"}
    flush()
    before = REGISTRY.get_sample_value("http_request_seconds_count", labels) or 0

    answer_before_django("/livez")
    flush()

    assert REGISTRY.get_sample_value("http_request_seconds_count", labels) == before + 1
