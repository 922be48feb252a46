"""The access log of `serve`: one line for each request."""

import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.builders import PASSWORD
from tests.database.application import Application, serving
from tests.database.load import Client, Question, Reply, ask
from tests.database.servers import PostgreSQL, migrated, wait_until
from tests.database.test_slow_bodies import answer_to, slow_clients

pytestmark = pytest.mark.faults

ALICE = {"username": "alice", "email": "alice@example.com", "password": PASSWORD}
JSON = {"Content-Type": "application/json"}
BODY_TIMEOUT = 3  # seconds


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    with migrated() as server:
        yield server


@pytest.fixture(scope="module")
def site(server: PostgreSQL) -> Iterator[Application]:
    variables = {"TRUSTED_PROXIES": "1", "SERVER_BODY_TIMEOUT": str(BODY_TIMEOUT)}
    with serving(server.url(), variables, workers=2) as site:
        yield site


def send(site: Application, method: str, path: str, body: Any = None, **headers: str) -> Reply:
    client = Client(site.port)
    try:
        given = JSON | {name.replace("_", "-"): value for name, value in headers.items()}
        content = None if body is None else json.dumps(body).encode()
        return client.ask(Question(method, path, content, given))
    finally:
        client.close()


def lines_of(site: Application) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in site.said().splitlines() if line.startswith("{")]
    return [line for line in lines if line["logger"] == "access"]


def line_of(site: Application, reply: Reply) -> dict[str, Any]:
    """The line of this reply; it is written after the reply was sent."""
    identifier = reply.headers["x-request-id"]

    def has_line() -> bool:
        return any(line["request_id"] == identifier for line in lines_of(site))

    wait_until(has_line, "the line is written", 5)
    (line,) = [line for line in lines_of(site) if line["request_id"] == identifier]
    return line


def test_a_line_has_the_fields_of_the_request_and_the_response(site: Application) -> None:
    user = send(site, "POST", "/api/users", {"user": ALICE})
    token = user.json()["user"]["token"]
    before = datetime.now(UTC)

    reply = send(
        site,
        "GET",
        "/api/articles/feed?limit=5&tag=a%20secret",
        Authorization=f"Token {token}",
        X_Forwarded_For="10.1.1.1, 192.0.2.7",
        X_Request_Id="seven",
    )

    line = line_of(site, reply)
    assert abs(datetime.fromisoformat(line.pop("time")) - before) < timedelta(seconds=10)
    assert 0 < line.pop("milliseconds") < reply.seconds * 1000 + 100
    assert isinstance(line.pop("user_id"), int)
    assert line == {
        "level": "INFO",
        "logger": "access",
        "method": "GET",
        "route": "api/articles/feed$",
        "path": "/api/articles/feed",
        "status": 200,
        "bytes": len(reply.content),
        "client": "192.0.2.7",
        "request_id": "seven",
    }
    assert "secret" not in site.said()
    assert line_of(site, user)["user_id"] is None


@pytest.mark.parametrize(
    ("method", "path", "status", "route"),
    [
        ("GET", "/", 200, ""),
        ("GET", "/api/nothing", 404, "^api(/|$)"),
        ("GET", "/nothing", 404, None),
        ("HEAD", "/api/tags", 200, "api/tags"),
        ("GET", "/api/test/stream?lines=100", 200, "api/test/stream"),
        ("GET", "/admin/login/", 200, "admin/login/"),
        ("GET", "/favicon.ico", 200, None),
        ("GET", "/api/articles/%22%0A%C3%A9", 404, "api/articles/(?P<slug>[^/]+)"),
        ("PATCH", "/api/tags", 405, "api/tags"),
    ],
)
def test_every_kind_of_response_has_a_line(
    site: Application, method: str, path: str, status: int, route: str | None
) -> None:
    reply = send(site, method, path)

    line = line_of(site, reply)
    assert (line["method"], line["status"], line["bytes"]) == (method, status, len(reply.content))
    assert route is None or re.sub(r"\$$|^\^", "", route) in (line["route"] or "")


def test_a_late_body_has_a_line_with_the_time_it_waited(site: Application) -> None:
    started = time.monotonic()
    with slow_clients(site.port, 1) as [client]:
        assert answer_to(client)[0] == 408
        ended = wait_until(
            lambda: any(line["status"] == 408 for line in lines_of(site)),
            "the request is logged",
            5,
        )

    (line,) = [line for line in lines_of(site) if line["status"] == 408]
    assert BODY_TIMEOUT * 1_000 <= line["milliseconds"] < (ended - started) * 1_000


def test_probes_have_no_line(site: Application) -> None:
    for path in ("/livez", "/readyz", "/health", "/metrics"):
        ask(site.port, path)
    line_of(site, send(site, "GET", "/api/tags"))

    assert not {line["path"] for line in lines_of(site)} & {
        "/livez",
        "/readyz",
        "/health",
        "/metrics",
    }


def test_the_access_log_can_be_turned_off(server: PostgreSQL) -> None:
    with serving(server.url(), {"ACCESS_LOG": "off"}) as site:
        assert ask(site.port, "/api/tags").status == 200
        assert ask(site.port, "/api/nothing").status == 404
        wait_until(lambda: "Not Found: /api/nothing" in site.said(), "the other log is on", 5)

        assert not lines_of(site)
