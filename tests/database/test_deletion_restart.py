"""A large deletion that the end of the server interrupts continues after the restart."""

import os
import signal
from collections.abc import Callable
from typing import LiteralString

import pytest

from tests.database.application import Application, serving
from tests.database.load import Client, Question
from tests.database.servers import PostgreSQL, migrated, wait_until
from tests.processes import run

pytestmark = pytest.mark.faults

CONTENT: LiteralString = """
    INSERT INTO users_user (id, password, is_superuser, email, email_folded, username,
        username_folded, is_active, is_staff, created_at)
        SELECT n, '!', false, n, n, n, n, true, false, now() FROM generate_series(1, 100) AS n;
    INSERT INTO articles_article
        (id, author_id, created_at, updated_at, slug, title, description, body)
        SELECT n, 1 + n % 2, now(), now(), n, 'a', 'b', 'c' FROM generate_series(1, 2000) AS n;
    INSERT INTO articles_favorite (user_id, article_id, created_at)
        SELECT k, n, now() FROM generate_series(1, 2000) AS n, generate_series(1, 5) AS k;
    INSERT INTO articles_comment (author_id, article_id, created_at, updated_at, body)
        SELECT k, n, now(), now(), 'A comment'
        FROM generate_series(1, 2000) AS n, generate_series(1, 5) AS k;
    ANALYZE;
"""
QUEUED: LiteralString = "SELECT row_id FROM users_deletion"
COMMENTS: LiteralString = "SELECT count(*) FROM articles_comment"
QUEUE = (
    "from users import deletion; from users.models import User;"
    "assert not deletion.delete(User.objects.filter(pk=1))"
)


def kill(application: Application, server: PostgreSQL) -> None:
    for pid in (application.process.pid, *application.workers()):
        os.kill(pid, signal.SIGKILL)
    application.process.wait()
    # End the lease of the killed process at once, instead of waiting for it.
    server.execute("UPDATE users_deletion SET claimed_until = now()")


def stop(application: Application, server: PostgreSQL) -> None:
    application.process.terminate()
    assert application.process.wait(30) == 0
    assert "unexpected EOF" not in server.log.read_text()


@pytest.mark.parametrize("end", [kill, stop])
def test_a_deletion_continues_after_a_restart(
    end: Callable[[Application, PostgreSQL], None],
) -> None:
    with migrated() as server:
        with server.session() as session:
            session.execute(CONTENT)
        queued = run("manage.py", "shell", "-c", QUEUE, DATABASE_URL=server.url())
        assert queued.returncode == 0, queued.stderr
        with serving(server.url()) as application:
            client = Client(application.port)
            assert client.ask(Question("GET", "/api/articles")).json()["articlesCount"] == 1000
            assert client.ask(Question("GET", "/api/profiles/1")).status == 404
            client.close()
            wait_until(lambda: server.execute(COMMENTS) < [(10_000,)], "the deletion has begun")
            end(application, server)

        assert server.execute(QUEUED) == [(1,)]
        with serving(server.url()) as application:
            wait_until(lambda: server.execute(QUEUED) == [], "the queue is empty")
            client = Client(application.port)
            assert client.ask(Question("GET", "/api/articles")).json()["articlesCount"] == 1000
            client.close()
        assert server.execute("SELECT count(*) FROM articles_article") == [(1000,)]
        assert server.execute(COMMENTS) == [(4_000,)]
        verification = run("manage.py", "verify_counts", DATABASE_URL=server.url())
        assert "All counts and copies are correct" in verification.stdout, verification.stdout
