"""The lines of the log: their fields, their number, and the id of their request."""

import json
import logging
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from socket import socket
from typing import Any, NoReturn
from urllib.parse import quote

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from config import access_log
from config.logs import JsonLines, RequestId
from tests.builders import make_user
from tests.processes import database_url, run, serving

PASSWORD = "a password of the database"


@pytest.mark.parametrize("given", ["7", "req-1.A_b", "x" * 64])
def test_a_response_has_the_id_of_the_request(client: Client, given: str) -> None:
    response = client.get("/livez", headers={"X-Request-Id": given})

    assert response.headers["X-Request-Id"] == given


@pytest.mark.parametrize("given", ["", "x" * 65, "two words", "a\tb", 'a"b', "a\n", "é", "a,b"])
def test_an_invalid_id_is_replaced(client: Client, given: str) -> None:
    first, second = (client.get("/livez", headers={"X-Request-Id": given}) for _ in range(2))

    assert len(first.headers["X-Request-Id"]) == 16
    assert first.headers["X-Request-Id"].isalnum()
    assert first.headers["X-Request-Id"] != second.headers["X-Request-Id"]


@pytest.mark.django_db  # close() checks a connection that an earlier test has left open
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/static/admin/css/base.css", 200),
        ("/admin/", 302),
        ("/api/nothing", 404),
        ("/nothing", 404),
        ("/api/user", 401),
        ("/admin/%00", 404),
    ],
)
def test_every_response_has_an_id(client: Client, path: str, status: int) -> None:
    response = client.get(path)
    response.close()  # the file

    assert response.status_code == status
    assert response.headers["X-Request-Id"]


def test_pages_from_other_origins_may_read_the_id(client: Client) -> None:
    response = client.get("/api/nothing", headers={"Origin": "https://example.com"})

    assert "X-Request-Id" in response.headers["Access-Control-Expose-Headers"]


@pytest.mark.django_db(transaction=True)
def test_every_line_has_the_id_of_its_request(capfd: pytest.CaptureFixture[str]) -> None:
    numbers = range(40)

    def ask(number: int) -> str | None:
        headers = {"X-Request-Id": f"request-{number}"}
        with closing(HTTPConnection("127.0.0.1", server.port, timeout=10)) as connection:
            connection.request("GET", f"/api/nothing-{number}", headers=headers)
            return connection.getresponse().headers["X-Request-Id"]

    with serving(DATABASE_URL=database_url()) as server, ThreadPoolExecutor(8) as clients:
        answered = list(clients.map(ask, numbers))
    lines = json_lines(capfd.readouterr().err)

    assert answered == [f"request-{number}" for number in numbers]
    messages = {line["request_id"]: line["message"] for line in lines}
    for number in numbers:
        assert messages[f"request-{number}"] == f"Not Found: /api/nothing-{number}"


def json_lines(text: str) -> list[dict[str, Any]]:
    """The lines of the project; the lines of granian are not JSON."""
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def line_of(message: str, *arguments: object, **extra: object) -> dict[str, Any]:
    """The line of a message that is logged now, in the format of production."""
    cause = sys.exc_info() if sys.exception() else None
    record = logging.getLogger("articles").makeRecord(
        "articles", logging.WARNING, __file__, 1, message, arguments, cause, extra=extra
    )
    RequestId().filter(record)
    text = JsonLines().format(record)
    assert "\n" not in text
    assert text.isascii()
    line: dict[str, Any] = json.loads(text)
    return line


def test_a_line_is_a_json_object_in_production() -> None:
    before = datetime.now(UTC)

    line = line_of("%s has\na title of two lines", "Émile", slug="emile", who={1})

    logged_at = datetime.fromisoformat(line.pop("time"))
    assert logged_at.utcoffset() == timedelta()
    assert before - timedelta(milliseconds=1) <= logged_at <= datetime.now(UTC)
    assert logged_at.microsecond % 1000 == 0
    assert line.pop("request_id")
    assert line == {
        "level": "WARNING",
        "logger": "articles",
        "message": "Émile has\na title of two lines",
        "slug": "emile",
        "who": "{1}",
    }


def test_an_exception_is_in_its_line() -> None:
    try:
        raise ValueError("Émile")
    except ValueError:
        line = line_of("It failed")

    assert line["message"] == "It failed"
    assert line["exception"].startswith("Traceback (most recent call last):\n")
    assert line["exception"].endswith("\nValueError: Émile")


def test_a_line_is_plain_text_in_development() -> None:
    program = "import django, logging; django.setup(); logging.getLogger('x').warning('Hello')"

    lines = run("-c", program, DEBUG="on", DJANGO_SETTINGS_MODULE="config.settings").stderr

    assert re.fullmatch(r"[0-9]{4}-[0-9-]+ [0-9:,]+ WARNING x \[-\] Hello\n", lines)


@pytest.mark.django_db
def test_the_access_log_has_the_user_id_and_runs_no_query(
    client: Client, capfd: pytest.CaptureFixture[str]
) -> None:
    editor = make_user("editor", is_staff=True, is_superuser=True)
    client.force_login(editor)
    # This page does not look at the session.
    responses = [client.get(path) for path in ("/admin/", "/api/docs")]
    capfd.readouterr()

    with CaptureQueriesContext(connection) as queries:
        for response in responses:
            access_log.log(response, started=0, sent=1)
        access_log.write()

    lines = json_lines(capfd.readouterr().err)
    assert [(line["path"], line["user_id"]) for line in lines] == [
        ("/admin/", editor.pk),
        ("/api/docs", None),
    ]
    assert not queries.captured_queries


def test_a_line_of_the_access_log_with_a_long_path_fits_into_one_write(
    client: Client, capfd: pytest.CaptureFixture[str]
) -> None:
    response = client.get("/" + "\x01\N{PILE OF POO}" * 5_000)
    capfd.readouterr()
    access_log.log(response, started=0, sent=1)
    access_log.write()

    text = capfd.readouterr().err
    assert len(text.encode()) < access_log.LARGEST_WRITE
    assert len(json.loads(text)["path"]) == access_log.LONGEST_PATH


def test_a_long_method_is_logged_as_other(
    client: Client, capfd: pytest.CaptureFixture[str]
) -> None:
    responses = [client.generic(method, "/api/tags") for method in ("X" * 20_000, "PATCH")]
    capfd.readouterr()

    for response in responses:
        access_log.log(response, started=0, sent=1)
    access_log.write()

    assert [line["method"] for line in json_lines(capfd.readouterr().err)] == ["other", "PATCH"]


OUTAGE = """
import django
django.setup()
from django.test import Client
from django.test.utils import CaptureQueriesContext
for number in range(3):
    headers = {"X-Request-Id": f"request-{number}"}
    print(Client(SERVER_NAME="localhost").get("/api/tags", headers=headers).status_code)
"""


def test_an_outage_is_one_line_without_the_password() -> None:
    with socket() as refusing:
        refusing.bind(("127.0.0.1", 0))  # connections are refused, because it does not listen
        port = refusing.getsockname()[1]
        process = run(
            "-W",
            "ignore",
            "-c",
            OUTAGE,
            DJANGO_SETTINGS_MODULE="config.settings",
            DATABASE_URL=f"postgresql://alice:{quote(PASSWORD)}@127.0.0.1:{port}/conduit",
            DATABASE_ACQUIRE_TIMEOUT="0.7",
        )

    assert process.stdout.split() == ["503"] * 3
    lines = [json.loads(line) for line in process.stderr.splitlines()]
    assert [line["logger"] for line in lines] == ["database.outages"]
    assert "Connection refused" in lines[0]["message"]
    for secret in (PASSWORD, quote(PASSWORD)):
        assert secret not in process.stderr


def fail(view: object, request: object) -> NoReturn:
    raise RuntimeError("a bug in a view")


def take_too_long(view: object, request: object) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 50")
        cursor.execute("SELECT pg_sleep(5)")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("view", "status"), [(fail, 500), (take_too_long, 504)])
def test_a_failed_request_is_logged_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, view: Any, status: int
) -> None:
    monkeypatch.setattr("articles.views.TagViewSet.list", view)

    response = Client(raise_request_exception=False).get("/api/tags")

    assert response.status_code == status
    assert response.headers["X-Request-Id"]
    assert [getattr(record, "status_code", None) for record in caplog.records] == [status]
    assert caplog.records[0].levelno >= logging.WARNING


def test_an_exception_outside_of_a_view_is_logged_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("django.middleware.csrf.CsrfViewMiddleware.process_request", fail)

    response = Client(raise_request_exception=False).get("/api/tags")

    assert response.status_code == 500
    assert response.headers["X-Request-Id"]
    assert [record.getMessage() for record in caplog.records] == [
        "Internal Server Error: /api/tags"
    ]
    assert caplog.records[0].exc_info
