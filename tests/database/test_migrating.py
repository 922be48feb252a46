"""A database is migrated forwards and backwards while an older version of the project uses it."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import LiteralString

import psycopg

from tests.database.servers import PostgreSQL, migrate, migrated, wait_until
from tests.processes import run_forked
from tests.stalls import assert_within, repeated_if_stalled

CONTENT: LiteralString = """
    INSERT INTO users_user (id, password, is_superuser, email, email_folded, username,
        username_folded, is_active, is_staff, created_at)
        SELECT n, '!', false, n, n, n, n, true, false, now() FROM generate_series(1, 100) AS n;
    INSERT INTO articles_article
        (id, author_id, created_at, updated_at, slug, title, description, body)
        SELECT n, 1 + n %% 100, '2001-02-03'::timestamptz + n * interval '1 minute', now(), n,
            'a', 'b', 'c'
        FROM generate_series(1, 20000) AS n;
    INSERT INTO articles_tag (id, name) SELECT n, n FROM generate_series(1, 50) AS n;
    INSERT INTO articles_tagging (article_id, tag_id)
        SELECT n, 1 + (n + k) %% 50 FROM generate_series(1, 20000) AS n, generate_series(1, 3) AS k;
    INSERT INTO articles_favorite (user_id, article_id, created_at)
        SELECT 1 + (n + k) %% 90, n, now()
        FROM generate_series(1, 20000) AS n, generate_series(1, 3) AS k;
    ANALYZE;
"""
# Reads and writes of the older version.
NEWEST: LiteralString = """
    SELECT article.id, (SELECT count(*) FROM articles_favorite WHERE article_id = article.id),
        ARRAY(SELECT name FROM articles_tag JOIN articles_tagging ON tag_id = articles_tag.id
            WHERE article_id = article.id)
    FROM articles_article AS article ORDER BY created_at DESC, id DESC LIMIT 20
"""
OF_TAG: LiteralString = """
    SELECT article.id FROM articles_article AS article
        JOIN articles_tagging AS tagging ON tagging.article_id = article.id
        JOIN articles_favorite AS favorite ON favorite.article_id = article.id
    WHERE tagging.tag_id = 7 ORDER BY article.id DESC LIMIT 20
"""
WRITE: LiteralString = """
    WITH reader AS (SELECT id FROM users_user WHERE id BETWEEN 91 AND 100),
        article AS (SELECT id FROM articles_article ORDER BY random() LIMIT 1)
    INSERT INTO articles_favorite (user_id, article_id, created_at)
        SELECT reader.id, article.id, now() FROM reader, article ON CONFLICT DO NOTHING
"""


def execute_repeatedly(
    server: PostgreSQL, statement: LiteralString, until: threading.Event
) -> float:
    """Execute the statement repeatedly; return the seconds of the slowest. Errors are raised."""
    slowest = 0.0
    with psycopg.connect(server.url(), autocommit=True) as session:
        while not until.is_set():
            started = time.monotonic()
            session.execute(statement)
            slowest = max(slowest, time.monotonic() - started)
            time.sleep(0.02)
    return slowest


@contextmanager
def in_use(server: PostgreSQL) -> Iterator[list[Future[float]]]:
    """Four threads read and one writes during the block; yields the results of the reads."""
    over = threading.Event()
    with ThreadPoolExecutor(5) as threads:
        reads = [
            threads.submit(execute_repeatedly, server, read, over) for read in (NEWEST, OF_TAG) * 2
        ]
        writes = threads.submit(execute_repeatedly, server, WRITE, over)
        try:
            yield reads
        finally:
            over.set()
    writes.result()


def files(server: PostgreSQL) -> list[tuple[str, int]]:
    """The files of the tables: a table that is rewritten gets another file."""
    return server.execute("""
        SELECT relname, relfilenode FROM pg_class
        WHERE relname IN ('articles_article', 'articles_tagging', 'articles_favorite') ORDER BY 1
    """)


@repeated_if_stalled
def test_a_migration_delays_reads_by_less_than_a_second_and_loses_no_write() -> None:
    with migrated() as server:
        migrate(server, "articles", "0001")
        server.execute(CONTENT)
        before = files(server)

        with in_use(server) as forwards:
            migrate(server)
        assert files(server) == before
        for command in ("verify_counts", "verify_search"):
            verification = run_forked("manage.py", command, DATABASE_URL=server.url())
            assert verification.returncode == 0, verification.stdout

        with in_use(server) as backwards:
            migrate(server, "articles", "0001")
        assert_within(max(read.result() for read in (*forwards, *backwards)), 1)


@repeated_if_stalled
def test_a_migration_lets_reads_pass_while_it_waits_for_a_slow_transaction() -> None:
    with migrated() as server:
        migrate(server, "articles", "0001")
        server.execute(CONTENT)
        with server.session() as slow, ThreadPoolExecutor(1) as thread, in_use(server) as reads:
            slow.execute("BEGIN")
            slow.execute("SELECT FROM articles_tagging LIMIT 1")
            migration = thread.submit(migrate, server)
            asleep = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
            wait_until(lambda: server.execute(asleep) != [], "the first attempt fails", seconds=50)
            slow.execute("COMMIT")
            migration.result()
        # One lock timeout, not two.
        assert_within(max(read.result() for read in reads), 2.5)


FUNCTIONS: LiteralString = """
    SELECT pg_get_functiondef(oid) FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace
        AND prorettype IN ('trigger'::regtype, 'void'::regtype)
    ORDER BY 1
"""
TRIGGERS: LiteralString = """
    SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1
"""


def test_a_reversed_migration_restores_the_triggers_before_it() -> None:
    with migrated() as server:
        migrate(server, "articles", "0014")
        reversed_ = server.execute(FUNCTIONS), server.execute(TRIGGERS)
        migrate(server, "articles", "0006")
        assert server.execute(TRIGGERS) != reversed_[1]
        migrate(server, "articles", "0014")

        assert (server.execute(FUNCTIONS), server.execute(TRIGGERS)) == reversed_
