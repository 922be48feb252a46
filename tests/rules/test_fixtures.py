"""`dumpdata` and `loaddata` have no statement timeout, and keep the counts correct."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection
from django.db.models.functions import Now

from articles.models import Article, Favorite, Tag
from tests.database.servers import wait_until
from tests.processes import database_url
from users.models import User

pytestmark = pytest.mark.django_db(transaction=True)

STATEMENT_TIMEOUT = 0.2  # seconds


@pytest.fixture
def session(db: None) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_url(), autocommit=True) as session:
        yield session


def run_with_short_timeout(call: Callable[[], object]) -> None:
    """Runs in its own thread, so it closes the connection of the thread."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"SET statement_timeout = '{STATEMENT_TIMEOUT}s'")
        call()
    finally:
        connection.close()


def while_the_tags_are_locked(session: psycopg.Connection, call: Callable[[], object]) -> None:
    """Run `call`, which waits for the lock for twice the timeout."""
    with ThreadPoolExecutor(1) as threads, session.transaction():
        session.execute("LOCK TABLE articles_tag IN ACCESS EXCLUSIVE MODE")
        done = threads.submit(run_with_short_timeout, call)

        def has_waited() -> bool:
            if done.done():
                done.result()
            # Otherwise the transaction sees the same statistics every time.
            session.execute("SELECT pg_stat_clear_snapshot()")
            row = session.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND wait_event_type = 'Lock'"
                " AND clock_timestamp() - query_start > make_interval(secs => %s)",
                [2 * STATEMENT_TIMEOUT],
            ).fetchone()
            return row == (1,)

        wait_until(has_waited, "the command waits for the lock")
    done.result()


def test_dumpdata_has_no_statement_timeout(session: psycopg.Connection, article: Article) -> None:
    output = StringIO()

    while_the_tags_are_locked(
        session, lambda: call_command("dumpdata", "articles.tag", stdout=output)
    )

    assert '"name": "dragons"' in output.getvalue()


def test_loaddata_has_no_statement_timeout(
    session: psycopg.Connection, article: Article, tmp_path: Path
) -> None:
    fixture = str(tmp_path / "tags.json")
    call_command("dumpdata", "articles.tag", output=fixture, verbosity=0)
    article.delete()
    Tag.objects.all().delete()

    while_the_tags_are_locked(session, lambda: call_command("loaddata", fixture, verbosity=0))

    assert {tag.name for tag in Tag.objects.all()} == {"dragons", "training"}


def test_favorites_and_tags_of_hidden_articles_are_not_counted_after_loaddata(
    bob: User, article: Article, tmp_path: Path
) -> None:
    Favorite.objects.create(user=bob, article=article)
    Article.objects.update(hidden_at=Now())
    fixture = str(tmp_path / "articles.json")
    call_command("dumpdata", "articles", output=fixture, verbosity=0)
    Article.objects.all().delete()
    Tag.objects.all().delete()

    call_command("loaddata", fixture, verbosity=0)

    assert Favorite.objects.count() == 1
    call_command("verify_counts", verbosity=0)
