"""`Idempotency-Key` with simultaneous requests and lost connections."""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.utils import timezone

from articles.models import Article, Comment, Tag
from database.backend.cleanup import Cleanup, cleanup_after
from database.models import _STORE, IdempotencyKey
from database.requests import expiry
from tests.api.test_idempotency import ARTICLES, INVALID, NEW_ARTICLE, assert_same, send
from tests.api.test_races import Api, statuses
from tests.database.servers import wait_until
from tests.processes import database_url, free_port, run_forked, runserver, serving
from tests.races import at_once, while_deleting
from users.models import User

pytestmark = pytest.mark.django_db(transaction=True)

MANY = 6  # a pool that has just been opened lets so many requests wait

COMMENTS = "/api/articles/how-to-train-your-dragon/comments"
COMMENT = {"comment": {"body": "Thank you!"}}


@pytest.fixture
def session(db: None) -> Iterator[psycopg.Connection]:
    """Another connection, for changes during a request."""
    with psycopg.connect(database_url(), autocommit=True) as session:
        yield session


@contextmanager
def lock_table(session: psycopg.Connection, table: str) -> Iterator[None]:
    """Lock the table: readers wait until the end of the block."""
    with session.transaction():
        session.execute(f'LOCK TABLE "{table}" IN ACCESS EXCLUSIVE MODE')
        yield


def wait_for_lock_waiters(session: psycopg.Connection, count: int) -> list[int]:
    """Wait until `count` processes wait for a lock; return them in the order of their
    transactions. Fails after 10 seconds."""
    deadline = timezone.now() + timedelta(seconds=10)
    while True:
        rows = session.execute(
            "SELECT pid FROM pg_stat_activity"
            " WHERE wait_event_type = 'Lock' AND datname = current_database() ORDER BY xact_start"
        ).fetchall()
        if len(rows) == count:
            return [pid for (pid,) in rows]
        assert timezone.now() < deadline, rows


def in_thread(threads: ThreadPoolExecutor, call: Callable[[], Any]) -> "Future[Any]":
    def run() -> Any:
        try:
            return call()
        finally:
            connection.close()

    return threads.submit(run)


def test_simultaneous_requests_with_one_key_write_once(api: Api, alice: User) -> None:
    client = api(alice)

    answers = at_once([lambda: send(client, ARTICLES, NEW_ARTICLE)] * MANY)

    assert statuses(answers) == {201: MANY}
    for answer in answers:
        assert_same(answers[0], answer)
    assert Article.objects.count() == IdempotencyKey.objects.count() == 1


def test_simultaneous_requests_with_an_expired_key_write_once_more(api: Api, alice: User) -> None:
    client = api(alice)
    first = send(client, ARTICLES, NEW_ARTICLE)
    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(hours=24))

    answers = at_once([lambda: send(client, ARTICLES, NEW_ARTICLE)] * MANY)

    assert statuses(answers) == {201: MANY}
    for answer in answers:
        assert_same(answers[0], answer)
    assert answers[0].content != first.content
    assert Article.objects.count() == 2


def test_simultaneous_requests_with_different_keys_do_not_deadlock(
    api: Api, alice: User, bob: User
) -> None:
    tags = [f"tag{n}" for n in range(30)]

    def write(user: User, key: str, tags: list[str]) -> Callable[[], Any]:
        content = {"article": NEW_ARTICLE["article"] | {"tagList": tags}}
        return lambda: send(api(user), ARTICLES, content, key)

    answers = at_once(
        [
            write(user, key, tags[::step])
            for user, key, step in ((alice, "1", 1), (alice, "2", -1), (bob, "1", 1))
            for _ in range(MANY // 3)
        ]
    )

    assert statuses(answers) == {201: MANY}
    assert Article.objects.count() == IdempotencyKey.objects.count() == 3
    assert Tag.objects.count() == len(tags)


def test_the_second_request_waits_for_the_first(
    api: Api, alice: User, article: Article, session: psycopg.Connection
) -> None:
    with ThreadPoolExecutor(2) as threads, lock_table(session, "articles_comment"):
        first = in_thread(threads, lambda: send(api(alice), COMMENTS, COMMENT))
        wait_for_lock_waiters(session, 1)
        second = in_thread(threads, lambda: send(api(alice), COMMENTS, COMMENT))
        wait_for_lock_waiters(session, 2)

    assert first.result().status_code == 201
    assert_same(first.result(), second.result())
    assert Comment.objects.count() == 1


def test_the_second_request_writes_when_the_first_fails(
    api: Api, alice: User, article: Article, session: psycopg.Connection
) -> None:
    with ThreadPoolExecutor(2) as threads, lock_table(session, "articles_article"):
        first = in_thread(threads, lambda: send(api(alice), COMMENTS, {"comment": {}}))
        wait_for_lock_waiters(session, 1)
        second = in_thread(threads, lambda: send(api(alice), COMMENTS, COMMENT))
        wait_for_lock_waiters(session, 2)

    assert (first.result().status_code, second.result().status_code) == (422, 201)
    assert Comment.objects.count() == 1
    assert_same(second.result(), send(api(alice), COMMENTS, COMMENT))


def test_the_second_request_waits_at_most_the_statement_timeout(
    api: Api, alice: User, article: Article, session: psycopg.Connection
) -> None:
    client = api(alice, raise_request_exception=False)

    def send_with_short_timeout() -> Any:
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = 200")
        return send(client, COMMENTS, COMMENT)

    with ThreadPoolExecutor(2) as threads, lock_table(session, "articles_comment"):
        first = in_thread(threads, lambda: send(client, COMMENTS, COMMENT))
        wait_for_lock_waiters(session, 1)
        second = in_thread(threads, send_with_short_timeout).result()

    assert second.status_code == 504
    assert second.json() == {"errors": {"database": ["took too long"]}}
    assert first.result().status_code == 201
    assert_same(first.result(), send(api(alice), COMMENTS, COMMENT))


def test_a_connection_lost_in_the_view_is_retried_with_a_key(
    api: Api, alice: User, article: Article, session: psycopg.Connection
) -> None:
    with ThreadPoolExecutor(1) as threads, lock_table(session, "articles_comment"):
        answer = in_thread(threads, lambda: send(api(alice), COMMENTS, COMMENT))
        for pid in wait_for_lock_waiters(session, 1):
            session.execute("SELECT pg_terminate_backend(%s)", [pid])

    assert answer.result().status_code == 201
    assert Comment.objects.count() == 1
    assert_same(answer.result(), send(api(alice), COMMENTS, COMMENT))


def test_a_connection_lost_while_waiting_for_the_first_request_is_retried(
    api: Api, alice: User, article: Article, session: psycopg.Connection
) -> None:
    client = api(alice, raise_request_exception=False)
    with ThreadPoolExecutor(2) as threads, lock_table(session, "articles_comment"):
        first = in_thread(threads, lambda: send(client, COMMENTS, COMMENT))
        wait_for_lock_waiters(session, 1)
        second = in_thread(threads, lambda: send(client, COMMENTS, COMMENT))
        last = wait_for_lock_waiters(session, 2)[-1]
        session.execute("SELECT pg_terminate_backend(%s)", [last])

    assert first.result().status_code == 201
    assert_same(first.result(), second.result())
    assert Comment.objects.count() == 1


def test_an_outdated_prepared_statement_is_retried_with_a_key(
    api: Api, alice: User, session: psycopg.Connection
) -> None:
    send(api(alice), ARTICLES, NEW_ARTICLE)  # prepares the statements

    session.execute("ALTER TABLE users_user ALTER image TYPE text")
    try:
        answer = send(api(alice), ARTICLES, NEW_ARTICLE, key="two")
    finally:
        session.execute("ALTER TABLE users_user ALTER image TYPE varchar(4096)")

    assert answer.status_code == 201
    assert Article.objects.count() == 2
    assert_same(answer, send(api(alice), ARTICLES, NEW_ARTICLE, key="two"))
    # This connection has statements that it prepared for the changed type. A later test that runs
    # one of them in a transaction would fail.
    connection.close()


def test_without_a_key_a_lost_connection_leaves_the_outcome_unknown(
    api: Api, alice: User, article: Article, session: psycopg.Connection
) -> None:
    with ThreadPoolExecutor(1) as threads, lock_table(session, "articles_comment"):
        answer = in_thread(threads, lambda: api(alice).post(COMMENTS, COMMENT))
        for pid in wait_for_lock_waiters(session, 1):
            session.execute("SELECT pg_terminate_backend(%s)", [pid])

    assert answer.result().status_code == 503
    assert answer.result().json() == {"errors": {"database": ["outcome is unknown"]}}
    assert not Comment.objects.exists()


def test_expired_rows_locked_by_another_session_are_skipped(
    api: Api, alice: User, session: psycopg.Connection
) -> None:
    send(api(alice), ARTICLES, NEW_ARTICLE, key="old")
    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(hours=24))

    with session.transaction():
        session.execute("SELECT FROM database_idempotencykey FOR UPDATE")
        assert send(api(alice), ARTICLES, NEW_ARTICLE, key="new").status_code == 201
    assert IdempotencyKey.objects.count() == 2

    send(api(alice), ARTICLES, NEW_ARTICLE, key="new")
    assert IdempotencyKey.objects.count() == 1


@pytest.mark.parametrize("key", ["one", ""])
@pytest.mark.parametrize("path", [COMMENTS, COMMENTS.replace("comments", "favorite")])
def test_an_article_deleted_meanwhile_is_404(
    api: Api, bob: User, article: Article, path: str, key: str
) -> None:
    answer = while_deleting(article, lambda: send(api(bob), path, COMMENT, key))

    assert answer.status_code == 404
    assert answer.json() == {"errors": {"article": ["not found"]}}
    assert not IdempotencyKey.objects.exists()


def test_a_user_deleted_meanwhile_is_401(api: Api, bob: User, article: Article) -> None:
    client = api(bob)

    answer = while_deleting(bob, lambda: send(client, COMMENTS, COMMENT))

    assert answer.status_code == 401
    assert answer.json() == {"errors": {"token": ["is invalid"]}}
    assert not IdempotencyKey.objects.exists()


def create_expired_rows(user: User, count: int) -> None:
    sent_at = timezone.now() - timedelta(hours=25)
    IdempotencyKey.objects.bulk_create(
        IdempotencyKey(user=user, method="POST", path="/", key=str(n), created_at=sent_at)
        for n in range(count)
    )


def test_expired_rows_are_deleted_without_requests_that_have_a_key(bob: User) -> None:
    create_expired_rows(bob, 2_500)
    program = """if True:
        import sys, django
        from django.core.management import execute_from_command_line
        django.setup()
        from database.requests import expiry
        expiry.INTERVAL = 0.1
        execute_from_command_line(["manage.py", *sys.argv[1:]])
    """

    def command(port: int) -> list[str]:
        return [sys.executable, "-c", program, *runserver(port)[2:]]

    variables = {"DATABASE_URL": database_url(), "DJANGO_SETTINGS_MODULE": "config.settings"}
    with serving(command, **variables, DEBUG="on") as server:
        assert server.call("GET", "/api/tags").status == 200
        wait_until(lambda: not IdempotencyKey.objects.exists(), "the rows are deleted")


def test_one_round_deletes_all_expired_rows(alice: User, bob: User, api: Api) -> None:
    create_expired_rows(bob, 2 * expiry.BATCH + 1)
    send(api(alice), "/api/profiles/bob/follow")
    assert IdempotencyKey.objects.filter(user=bob).count() > expiry.BATCH

    expiry.delete_expired()

    assert [row.user for row in IdempotencyKey.objects.all()] == [alice]


def test_a_round_without_a_database_logs_no_error() -> None:
    url = f"postgresql://conduit@127.0.0.1:{free_port()}/conduit"
    program = (
        "import django; django.setup();"
        " from database.requests.expiry import delete_expired; delete_expired()"
    )

    process = run_forked(
        "-c",
        program,
        DATABASE_URL=url,
        DATABASE_ACQUIRE_TIMEOUT="0.5",
        DEBUG="on",
        DJANGO_SETTINGS_MODULE="config.settings",
    )

    assert process.returncode == 0
    assert "Traceback" not in process.stderr


def test_an_answer_whose_body_is_dropped_meanwhile_is_rebuilt(
    api: Api, bob: User, article: Article, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key is sent again while another request of the user drops the kept body."""
    monkeypatch.setattr("database.models.MAX_BODIES", 1)
    client = api(bob)
    for n in range(30):
        first = send(client, COMMENTS, COMMENT, key=f"first {n}")

        again, other = at_once(
            [
                partial(send, client, COMMENTS, COMMENT, key=f"first {n}"),
                partial(send, client, COMMENTS, COMMENT, key=f"other {n}"),
            ]
        )

        assert_same(first, again)
        assert other.status_code == 201
    assert Comment.objects.count() == IdempotencyKey.objects.count() == 60
    assert IdempotencyKey.objects.exclude(content=None).count() <= 2


def test_simultaneous_keys_of_one_user_drop_bodies_without_a_deadlock(
    api: Api, bob: User, article: Article, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("database.models.MAX_BODIES", 2)
    client = api(bob)
    for n in range(30):
        answers = at_once(
            [partial(send, client, COMMENTS, COMMENT, key=f"{n} {k}") for k in range(MANY)]
        )
        assert statuses(answers) == {201: MANY}
    send(client, COMMENTS, COMMENT, key="last")

    assert Comment.objects.count() == IdempotencyKey.objects.count() == 30 * MANY + 1
    assert IdempotencyKey.objects.exclude(content=None).count() == 2


def test_keeping_an_answer_changes_no_session_state() -> None:
    assert cleanup_after(_STORE) == Cleanup.NONE


def test_a_refusal_leaves_no_rows_and_no_open_transaction(api: Api, alice: User) -> None:
    answer = send(api(alice), ARTICLES, NEW_ARTICLE, key="")

    assert (answer.status_code, answer.json()) == (422, INVALID)
    assert not Article.objects.exists()
    assert not Tag.objects.exists()
    assert not connection.in_atomic_block
