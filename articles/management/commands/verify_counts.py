"""manage.py verify_counts: compare what triggers store with the tables."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction

from articles.counts import CountKind
from database.backend import lift_timeouts

# Whole tables are joined, not row by row: PostgreSQL can do so on disk. The numbers are those of
# CountKind.
WRONG_COUNTS = """
    WITH visible AS (
        SELECT article.id, author_id
        FROM articles_article AS article JOIN users_user AS author ON author.id = author_id
        WHERE article.hidden_at IS NULL AND author.hidden_at IS NULL
    ), actual AS (
        SELECT 1 AS counted, 0 AS key, count(*) AS count FROM visible
        UNION ALL
        SELECT 2, tag_id, count(*)
            FROM articles_tagging JOIN visible ON visible.id = article_id GROUP BY tag_id
        UNION ALL
        SELECT 3, author_id, count(*) FROM visible GROUP BY author_id
        UNION ALL
        SELECT 4, article_id, count(*) FROM articles_favorite GROUP BY article_id
        UNION ALL
        SELECT 5, user_id, count(*)
            FROM articles_favorite JOIN visible ON visible.id = article_id GROUP BY user_id
    ), stored AS (
        SELECT counted, key, sum(count) AS count FROM articles_tally GROUP BY counted, key
    )
    SELECT counted, key, coalesce(actual.count, 0) AS actual, coalesce(stored.count, 0) AS stored
    FROM actual FULL JOIN stored USING (counted, key)
    WHERE coalesce(actual.count, 0) <> coalesce(stored.count, 0)
"""
EXAMPLES = 3  # of each kind
SHOW_WRONG_COUNTS = f"""
    SELECT counted, count(*), string_agg(
        format('%s instead of %s (key %s)', stored, actual, key), ', ' ORDER BY key
    ) FILTER (WHERE place <= {EXAMPLES})
    FROM (
        SELECT *, row_number() OVER (PARTITION BY counted ORDER BY key) AS place
        FROM ({WRONG_COUNTS}) AS wrong
    ) AS numbered
    GROUP BY counted ORDER BY counted
"""  # noqa: S608 -- no input
# Inserts the difference as one more part of the count. It stays correct while others write,
# because a writer changes the rows and their count by the same number.
ADD_DIFFERENCES = f"""
    INSERT INTO articles_tally (counted, key, count)
    SELECT counted, key, actual - stored FROM ({WRONG_COUNTS}) AS wrong
"""  # noqa: S608 -- no input
# The sum is that of the deleted row versions, so that no part is lost or added twice. Rows that
# another transaction has locked stay as they are.
MERGE = """
    WITH parts AS (
        DELETE FROM articles_tally WHERE id IN (
            SELECT id FROM articles_tally JOIN (
                SELECT counted, key FROM articles_tally GROUP BY counted, key
                HAVING count(*) > 1 OR sum(count) = 0
            ) AS split USING (counted, key)
            FOR UPDATE OF articles_tally SKIP LOCKED
        ) RETURNING counted, key, count
    ), merged AS (
        INSERT INTO articles_tally (counted, key, count)
        SELECT counted, key, sum(count) FROM parts GROUP BY counted, key HAVING sum(count) <> 0
    )
    SELECT count(DISTINCT (counted, key)) FROM parts
"""
SHOW_WRONG_COPIES = """
    SELECT count(*), min({table}.id)
    FROM {table} JOIN articles_article AS article ON article.id = article_id
    WHERE ({columns}) IS DISTINCT FROM ({originals})
"""
LOCK_ARTICLES_OF_WRONG_COPIES = """
    SELECT count(*) FROM (
        SELECT FROM {table} JOIN articles_article AS article ON article.id = article_id
        WHERE ({columns}) IS DISTINCT FROM ({originals})
        FOR KEY SHARE OF article
    ) AS locked
"""
CORRECT_COPIES = """
    UPDATE {table} SET ({columns}) = ROW ({originals})
    FROM articles_article AS article
    WHERE article.id = article_id AND ({columns}) IS DISTINCT FROM ({originals})
"""
TAG_NAMES = """
    articles_article AS article LEFT JOIN (
        SELECT article_id, array_agg(name::text ORDER BY name COLLATE "C") AS names
        FROM articles_tagging JOIN articles_tag ON articles_tag.id = tag_id GROUP BY article_id
    ) AS tagged ON article_id = article.id
    WHERE tag_names IS DISTINCT FROM coalesce(names, '{}')
"""
SHOW_WRONG_TAG_NAMES = f"SELECT count(*), min(article.id) FROM {TAG_NAMES}"  # noqa: S608 -- no input
LOCK_ARTICLES_OF_WRONG_TAG_NAMES = f"""
    SELECT count(*) FROM (
        SELECT FROM articles_article WHERE id IN (SELECT article.id FROM {TAG_NAMES})
        ORDER BY id FOR NO KEY UPDATE
    ) AS locked
"""  # noqa: S608 -- no input
# A trigger replaces any written value by the names that are right after the row is locked.
CORRECT_TAG_NAMES = f"""
    UPDATE articles_article SET tag_names = array_append(tag_names, NULL)
    WHERE id IN (SELECT article.id FROM {TAG_NAMES})
"""  # noqa: S608 -- no input


# The columns that the rows of a table copy from their article. The name is for the report.
COPIES = (
    {
        "name": "taggings",
        "table": "articles_tagging",
        "columns": "article_created_at, article_author_id, article_hidden",
        "originals": "article.created_at, article.author_id, article.hidden_at IS NOT NULL",
    },
    {
        "name": "favorites",
        "table": "articles_favorite",
        "columns": "article_created_at, article_author_id",
        "originals": "article.created_at, article.author_id",
    },
)


class Command(BaseCommand):
    help = (
        "Compare all stored counts with the tables, the columns that taggings and favorites copy "
        "from their article with the article, and the tag names of articles with the tags. Exits "
        "with 1 if any differ. Blocks no reader and no writer."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--repair",
            action="store_true",
            help="correct what differs, and merge counts that have several rows. Others may write "
            "at the same time",
        )

    def handle(self, *, repair: bool, verbosity: int, **options: Any) -> None:
        report = _repair() if repair else _differences()
        if verbosity:
            for line in report or ["All counts and copies are correct."]:
                self.stdout.write(line)
        if report and not repair:
            raise CommandError("Some counts or copies are wrong. --repair corrects them.")


def _differences() -> list[str]:
    """A line for each kind of count and each table with wrong values, from one snapshot."""
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        lift_timeouts()
        cursor.execute(SHOW_WRONG_COUNTS)
        lines = [
            f"{CountKind(counted).label}: {number:,} wrong, for example {examples}."
            for counted, number, examples in cursor.fetchall()
        ]
        for copies in COPIES:
            cursor.execute(SHOW_WRONG_COPIES.format(**copies))
            number, first = cursor.fetchone()
            if number:
                lines.append(
                    f"copies in {copies['name']}: {number:,} wrong, for example id {first}."
                )
        cursor.execute(SHOW_WRONG_TAG_NAMES)
        number, first = cursor.fetchone()
        if number:
            lines.append(f"tag names of articles: {number:,} wrong, for example id {first}.")
    return lines


def _repair() -> list[str]:
    """Correct all counts and copies, and return a line for each correction."""
    done = {}
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        # Each statement must see the commits that the statement before waited for.
        cursor.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        lift_timeouts()
        # Two repairs at the same time would both add the differences.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('verify_counts'))")
        cursor.execute(ADD_DIFFERENCES)
        done["counts corrected"] = cursor.rowcount
        cursor.execute(MERGE)
        (done["counts merged into one row"],) = cursor.fetchone()
        for copies in COPIES:
            # An update of an article locks the article before its copies. The opposite order
            # would deadlock.
            cursor.execute(LOCK_ARTICLES_OF_WRONG_COPIES.format(**copies))
            cursor.execute(CORRECT_COPIES.format(**copies))
            done[f"copies in {copies['name']} corrected"] = cursor.rowcount
        cursor.execute(LOCK_ARTICLES_OF_WRONG_TAG_NAMES)
        cursor.execute(CORRECT_TAG_NAMES)
        done["tag names of articles corrected"] = cursor.rowcount
    return [f"{what}: {number:,}" for what, number in done.items() if number]
