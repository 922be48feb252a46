"""Requests whose connection breaks, is cut, or takes too long. The views break their own
connection."""

import select
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier, get_ident
from typing import Any, cast

import pytest
from django.db import OperationalError, connection, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import Client
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from pytest_django import Settings

from articles.models import Tag
from database import metrics
from database.backend.base import DatabaseWrapper
from database.backend.running import running_requests
from database.settings.limits import Limits
from tests.database.declared import list_tags, names
from tests.database.pools import value
from tests.database.test_pool import terminate
from tests.database.test_prepared import another_pool, change_type_of_tag_names, with_pool

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls(__name__)]

UNAVAILABLE = {"errors": {"database": ["is unavailable"]}}
UNKNOWN = {"errors": {"database": ["outcome is unknown"]}}
TOOK_TOO_LONG = {"errors": {"database": ["took too long"]}}

calls: list[str] = []


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def break_connection() -> None:
    """End the session as an administrator does, and use it afterwards."""
    execute("SELECT pg_terminate_backend(pg_backend_pid())")
    execute("SELECT 1")


def break_pool(size: int) -> None:
    """End `size` sessions of the pool, which have all just been used."""
    wrapper = cast(DatabaseWrapper, connection)
    wrapper.ensure_connection()
    assert wrapper.pool is not None
    sessions = [wrapper.pool.getconn() for _ in range(size)]
    for session in sessions:
        session.execute("SELECT 1")
        wrapper.pool.putconn(session)
    terminate(*[session.info.backend_pid for session in sessions])
    wrapper.close()  # returned last, so it is not the next connection


@csrf_exempt
def breaks(request: HttpRequest) -> JsonResponse:
    """Breaks its connection the first `times` times."""
    calls.append(request.method or "")
    if "key" in request.GET:
        request.idempotent = True  # type: ignore[attr-defined]  # as the idempotency middleware does
    if len(calls) <= int(request.GET["times"]):
        break_connection()
    execute("SELECT 1")
    return JsonResponse({"calls": len(calls)})


@csrf_exempt
def breaks_once(request: HttpRequest) -> JsonResponse:
    """Records whether the pool may give it a connection without a ping."""
    trusts = running_requests[get_ident()].no_ping_until > time.monotonic()
    calls.append("trusts" if trusts else "asks")
    if len(calls) == 1:
        break_connection()
    return JsonResponse({})


def takes_too_long(request: HttpRequest) -> HttpResponse:
    calls.append("")
    execute("SET statement_timeout = 50")
    execute("SELECT pg_sleep(5)")
    return HttpResponse()


def idles(request: HttpRequest) -> HttpResponse:
    """PostgreSQL ends the session of a transaction that does nothing."""
    calls.append("")
    execute("SET idle_in_transaction_session_timeout = 50")
    with transaction.atomic():
        execute("SELECT 1")
        # Wait for the message that PostgreSQL ends the session.
        select.select([connection.connection.pgconn.socket], [], [], 5)
        execute("SELECT 1")
    return HttpResponse()


def is_wrong(request: HttpRequest) -> HttpResponse:
    execute("SELECT nothing")
    return HttpResponse()


def takes_a_closed_cursor(request: HttpRequest) -> HttpResponse:
    calls.append("")
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    cursor.fetchone()
    return HttpResponse()


def finds_the_disk_full(request: HttpRequest) -> HttpResponse:
    execute("DO $$ BEGIN RAISE EXCEPTION 'no space left' USING ERRCODE = '53100'; END $$")
    return HttpResponse()


def sleeps(request: HttpRequest) -> HttpResponse:
    calls.append("")
    execute("SELECT pg_sleep(2)")
    return HttpResponse()


@csrf_exempt
def asks_in_a_transaction(request: HttpRequest) -> JsonResponse:
    calls.append("")
    if "key" in request.GET:
        request.idempotent = True  # type: ignore[attr-defined]  # as the idempotency middleware does
    with transaction.atomic():
        return JsonResponse({"tags": names(list_tags())})


def asks_for_what_there_is_not(request: HttpRequest) -> HttpResponse:
    """PostgreSQL reports the same error code as for an outdated statement."""
    calls.append("")
    execute("SELECT 1 GROUP BY 1 FOR UPDATE")
    return HttpResponse()


def is_fine(request: HttpRequest) -> JsonResponse:
    return JsonResponse({})


urlpatterns = [
    path("api/breaks", breaks),
    path("breaks", breaks),
    path("api/breaks-once", breaks_once),
    path("api/takes-too-long", takes_too_long),
    path("api/idles", idles),
    path("api/is-wrong", is_wrong),
    path("api/is-fine", is_fine),
    path("api/takes-a-closed-cursor", takes_a_closed_cursor),
    path("api/finds-the-disk-full", finds_the_disk_full),
    path("api/sleeps", sleeps),
    path("api/asks-in-a-transaction", asks_in_a_transaction),
    path("api/asks-for-what-there-is-not", asks_for_what_there_is_not),
]


@pytest.fixture(autouse=True)
def clear_calls() -> Iterator[None]:
    calls.clear()
    yield
    connection.close()  # the views have changed it, and the test client does not close it


@pytest.fixture
def browser() -> Client:
    return Client(raise_request_exception=False)


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("method", ["get", "head"])
def test_a_read_is_retried_on_another_connection(browser: Client, method: str, times: int) -> None:
    retries = value(metrics.RETRIES)

    response = getattr(browser, method)(f"/api/breaks?times={times}")

    assert response.status_code == 200
    assert len(calls) == times + 1
    assert value(metrics.RETRIES) - retries == times


@pytest.mark.parametrize(("method", "tries"), [("get", 2), ("head", 2), ("post", 1), ("put", 1)])
def test_a_freshly_broken_pool_costs_a_read_one_retry_and_a_write_none(
    browser: Client, method: str, tries: int
) -> None:
    break_pool(7)

    response = getattr(browser, method)("/api/breaks?times=0")

    assert response.status_code == 200
    assert len(calls) == tries


def test_only_the_first_try_of_a_read_uses_a_connection_without_a_ping(browser: Client) -> None:
    browser.get("/api/breaks-once")
    browser.post("/api/breaks-once")

    assert calls == ["trusts", "asks", "asks"]


def test_a_read_is_tried_three_times(browser: Client) -> None:
    response = browser.get("/api/breaks?times=9")

    assert (response.status_code, response.json()) == (503, UNAVAILABLE)
    assert response["Retry-After"] == "1"
    assert len(calls) == 3


def test_there_is_no_retry_after_the_acquire_timeout(
    browser: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DatabaseWrapper, "limits", Limits(acquire_timeout=0))

    assert browser.get("/api/breaks?times=1").status_code == 503
    assert len(calls) == 1


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_a_write_is_never_retried(browser: Client, method: str) -> None:
    response = getattr(browser, method)("/api/breaks?times=1")

    assert (response.status_code, response.json()) == (503, UNKNOWN)
    assert "Retry-After" not in response
    assert len(calls) == 1


def test_a_write_with_a_key_is_retried(browser: Client) -> None:
    assert browser.post("/api/breaks?times=2&key").json() == {"calls": 3}


def test_a_statement_timeout_is_504_without_a_retry(browser: Client) -> None:
    response = browser.get("/api/takes-too-long")

    assert (response.status_code, response.json()) == (504, TOOK_TOO_LONG)
    assert len(calls) == 1


def test_an_idle_in_transaction_timeout_is_503_without_a_retry(browser: Client) -> None:
    response = browser.get("/api/idles")

    assert (response.status_code, response.json()) == (503, UNAVAILABLE)
    assert response["Retry-After"] == "1"
    assert len(calls) == 1


def test_a_request_over_its_deadline_is_503_without_a_retry(
    browser: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DatabaseWrapper, "limits", Limits(hard_deadline=0.3))

    response = browser.get("/api/sleeps")

    assert (response.status_code, response.json()) == (503, UNAVAILABLE)
    assert len(calls) == 1


def test_a_full_disk_is_logged(browser: Client, caplog: pytest.LogCaptureFixture) -> None:
    assert browser.get("/api/finds-the-disk-full").status_code == 503

    (line,) = [record for record in caplog.records if record.name == "database.requests"]
    assert line.levelname == "WARNING"
    assert "no space left" in line.getMessage()


def test_an_interface_error_is_500(browser: Client) -> None:
    assert browser.get("/api/takes-a-closed-cursor").status_code == 500
    assert len(calls) == 1


def test_a_connection_that_breaks_in_a_transaction_is_not_reopened_at_its_end() -> None:
    with pytest.raises(OperationalError), transaction.atomic():
        break_connection()

    assert connection.connection is None


def test_a_503_outside_the_api_is_an_html_page(browser: Client) -> None:
    response = browser.get("/breaks?times=9")

    assert response.status_code == 503
    assert response["Content-Type"].startswith("text/html")
    assert response["Retry-After"] == "1"
    assert "The database is unavailable." in response.content.decode()


def test_a_programming_error_is_500(browser: Client) -> None:
    assert browser.get("/api/is-wrong").status_code == 500


@contextmanager
def outdated(statement: str) -> Iterator[None]:
    """The prepared statements of every connection of the pool are outdated or deallocated."""
    Tag.objects.create(name="css")
    all_have_a_connection = Barrier(4)

    def prepare() -> None:
        list_tags()
        all_have_a_connection.wait(10)
        if "DEALLOCATE" in statement:
            execute(statement)
        connection.close()

    with (
        another_pool(with_pool({"min_size": 4, "max_size": 4})),
        ThreadPoolExecutor(4) as threads,
    ):
        for future in [threads.submit(prepare) for _ in range(4)]:
            future.result()
        if statement == CHANGE_TYPE:
            change_type_of_tag_names("text")
        try:
            yield
        finally:
            change_type_of_tag_names("varchar(64)")


CHANGE_TYPE = "a column gets another type"
outdating = pytest.mark.parametrize("statement", [CHANGE_TYPE, "DEALLOCATE ALL"])


@outdating
@pytest.mark.parametrize("request_line", ["GET ?", "POST ?key"])
def test_an_outdated_statement_in_a_transaction_is_prepared_again_by_the_retry(
    browser: Client, statement: str, request_line: str
) -> None:
    method, query = request_line.split()

    with outdated(statement):
        response = browser.generic(method, f"/api/asks-in-a-transaction{query}")

    assert (response.status_code, response.json()) == (200, {"tags": ["css"]})
    assert len(calls) == 2


@outdating
def test_an_outdated_statement_in_a_write_without_a_key_is_503_with_nothing_written(
    browser: Client, statement: str
) -> None:
    with outdated(statement):
        refused = browser.post("/api/asks-in-a-transaction")
        again = browser.post("/api/asks-in-a-transaction?key")

    assert (refused.status_code, refused.json()) == (503, UNAVAILABLE)
    assert again.status_code == 200


def test_an_unsupported_statement_is_500_without_a_retry(browser: Client) -> None:
    assert browser.get("/api/asks-for-what-there-is-not").status_code == 500
    assert len(calls) == 1


class QueryingMiddleware:
    """A middleware that breaks its connection, the first time."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        calls.append("")
        if len(calls) <= int(request.GET["times"]):
            break_connection()
        return self.get_response(request)


@pytest.mark.parametrize(("times", "status"), [(1, 200), (9, 503)])
def test_a_middleware_that_uses_the_database_is_retried_too(
    browser: Client,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
    times: int,
    status: int,
) -> None:
    settings.MIDDLEWARE = [
        "database.requests.DatabaseMiddleware",
        f"{__name__}.{QueryingMiddleware.__name__}",
    ]
    response: Any = browser.get(f"/api/is-fine?times={times}")

    assert response.status_code == status
    lines = [line.name for line in caplog.records if line.name.endswith(".request")]
    assert lines == []  # no traceback of Django
    if status == 503:
        assert response.json() == UNAVAILABLE


def test_no_state_is_kept_after_a_request(browser: Client) -> None:
    browser.get("/api/breaks?times=9")
    browser.get("/api/is-wrong")

    assert running_requests == {}
