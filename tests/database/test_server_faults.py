"""The responses of the production server to database failures that the tests cause.

A lock on a table makes a statement take long.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest
from django.db import connection, transaction

from tests.builders import make_user, write_article
from tests.client import ApiClient
from tests.processes import Answer, Server, database_url, serving
from tests.stalls import assert_within, repeated_if_stalled
from users import tokens

pytestmark = pytest.mark.django_db(transaction=True)

Call = Callable[..., "Future[Answer]"]


@pytest.fixture
def second_session(db: None) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_url()) as session:
        yield session


@pytest.fixture
def in_background() -> Iterator[Callable[..., "Future[Answer]"]]:
    with ThreadPoolExecutor(16) as threads:
        yield threads.submit


@contextmanager
def lock_table(session: psycopg.Connection, table: str) -> Iterator[None]:
    """Lock the table: readers wait until the end of the block."""
    with session.transaction():
        session.execute(f'LOCK TABLE "{table}" IN ACCESS EXCLUSIVE MODE')
        yield


def wait_for_lock_waiters(count: int) -> list[int]:
    """Wait until `count` processes wait for a lock; return their ids."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pid FROM pg_stat_activity"
                " WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            pids = [pid for (pid,) in cursor.fetchall()]
        if len(pids) >= count:
            return pids
    raise TimeoutError(f"{count} sessions should wait for a lock, and {pids} do")


@repeated_if_stalled
def test_an_exhausted_pool_is_503_in_time_and_health_still_answers(
    second_session: psycopg.Connection, in_background: Call
) -> None:
    limits = {"DATABASE_POOL_MAX": "2", "DATABASE_ACQUIRE_TIMEOUT": "0.5"}
    with serving(DATABASE_URL=database_url(), **limits) as server:
        with lock_table(second_session, "articles_tag"):
            held = [in_background(server.call, "GET", "/api/tags") for _ in range(2)]
            wait_for_lock_waiters(2)
            refused = server.call("GET", "/api/tags")
            health = server.call("GET", "/health")

        assert refused.status == 503
        assert refused.content == {"errors": {"database": ["is unavailable"]}}
        assert refused.headers["retry-after"] == "1"
        # /health uses its own connection.
        assert (health.status, health.content["database"]) == (200, "connected")
        assert health.content["pool"]["in_use"] == 2
        assert [answer.result().status for answer in held] == [200, 200]
    assert_within(refused.seconds, 1.5)


def test_a_statement_timeout_is_504(second_session: psycopg.Connection) -> None:
    url = database_url(options="-c statement_timeout=200")
    with serving(DATABASE_URL=url) as server, lock_table(second_session, "articles_tag"):
        answer = server.call("GET", "/api/tags")

    assert answer.status == 504
    assert answer.content == {"errors": {"database": ["took too long"]}}


def lose_connection(
    server: Server,
    session: psycopg.Connection,
    in_background: Call,
    *request: object,
    times: int = 1,
) -> Answer:
    """The answer to a request whose connection is ended `times` times while its statement waits."""
    with lock_table(session, "articles_comment"):
        answer = in_background(server.call, *request)
        for _ in range(times):
            for pid in wait_for_lock_waiters(1):
                session.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    return answer.result()


def test_a_read_succeeds_after_its_connection_was_lost(
    second_session: psycopg.Connection, in_background: Call
) -> None:
    make_article()
    with serving(DATABASE_URL=database_url()) as server:
        request = ("GET", "/api/articles/dragons/comments")
        answer = lose_connection(server, second_session, in_background, *request, times=2)

    assert answer.status == 200


def test_a_read_that_loses_three_connections_is_503_with_retry_after(
    second_session: psycopg.Connection, in_background: Call
) -> None:
    make_article()
    with serving(DATABASE_URL=database_url()) as server:
        request = ("GET", "/api/articles/dragons/comments")
        answer = lose_connection(server, second_session, in_background, *request, times=3)

        assert answer.status == 503
        assert answer.content == {"errors": {"database": ["is unavailable"]}}
        assert answer.headers["retry-after"] == "1"
        assert server.call(*request).status == 200


def test_a_connection_lost_while_writing_is_503_without_retry_after(
    second_session: psycopg.Connection, in_background: Call
) -> None:
    token = make_article()
    body = {"comment": {"body": "Thank you!"}}
    with serving(DATABASE_URL=database_url()) as server:
        request = ("POST", "/api/articles/dragons/comments", body, token)
        answer = lose_connection(server, second_session, in_background, *request)

        assert answer.status == 503
        assert answer.content == {"errors": {"database": ["outcome is unknown"]}}
        assert "retry-after" not in answer.headers
        assert server.call(*request).status == 201


def make_article() -> str:
    """An article with the slug "dragons"; returns a token of its author."""
    alice = make_user("alice")
    write_article(alice, title="Dragons")
    return tokens.issue(alice.pk)


def test_an_ended_idle_connection_is_replaced_before_a_request_gets_it(
    second_session: psycopg.Connection,
) -> None:
    with serving(DATABASE_URL=database_url(application_name="checked")) as server:
        assert server.call("GET", "/api/tags").status == 200
        second_session.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'checked' AND datname = current_database()"
        )

        assert server.call("GET", "/api/tags").status == 200


@pytest.mark.parametrize("method", ["get", "post"])
def test_an_idle_in_transaction_timeout_is_503(
    monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def idle(view: object, request: object) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 50")
            while True:
                time.sleep(0.1)  # PostgreSQL ends the session during this time
                cursor.execute("SELECT 1")

    monkeypatch.setattr("users.views.RegistrationViewSet.create", idle)
    monkeypatch.setattr("articles.views.TagViewSet.list", idle)
    path = {"get": "/api/tags", "post": "/api/users"}[method]

    response = getattr(ApiClient(), method)(path)

    assert response.status_code == 503
    assert response.json() == {"errors": {"database": ["is unavailable"]}}
    assert response.headers["Retry-After"] == "1"
    connection.close()
