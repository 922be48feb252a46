"""manage.py verify_search: compare the words that triggers store for the search with the texts."""

from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction

from database.backend import lift_timeouts

BATCH = 1_000  # rows
TABLES = (
    {
        "name": "articles",
        "table": "articles_article",
        "texts": "articles_articletext",
        "words": "article_words(id, title, description, body)",
    },
    {
        "name": "comments",
        "table": "articles_comment",
        "texts": "articles_commenttext",
        "words": "comment_words(id, body)",
    },
)
# The last id of the batch after an id.
LAST = """
    SELECT max(id) FROM (
        (SELECT id FROM {table} WHERE id > %(after)s ORDER BY id LIMIT {batch})
        UNION ALL
        (SELECT id FROM {texts} WHERE id > %(after)s ORDER BY id LIMIT {batch})
    ) AS ids
"""
# The ids of rows whose words are wrong or missing, and of words whose row is missing.
WRONG = """
    SELECT coalesce(stored.id, actual.id) FROM (
        SELECT id, words FROM {texts} WHERE id > %(after)s AND id <= %(last)s
    ) AS stored FULL JOIN (
        SELECT id, {words} AS words FROM {table} WHERE id > %(after)s AND id <= %(last)s
    ) AS actual USING (id)
    WHERE stored.words IS DISTINCT FROM actual.words
    ORDER BY 1
"""
# A writer of a row also locks the row first, and then its words.
LOCK = "SELECT FROM {table} WHERE id = ANY (%(wrong)s) ORDER BY id FOR NO KEY UPDATE"
DELETE = """
    DELETE FROM {texts} WHERE id = ANY (%(wrong)s)
        AND id NOT IN (SELECT id FROM {table} WHERE id = ANY (%(wrong)s))
"""
STORE = """
    INSERT INTO {texts} SELECT id, {words} FROM {table} WHERE id = ANY (%(wrong)s)
    ON CONFLICT (id) DO UPDATE SET words = EXCLUDED.words
"""


class Command(BaseCommand):
    help = (
        "Compare the words that are stored for the search with the texts of articles and "
        "comments. Exits with 1 if any differ. Blocks no reader and no writer."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--repair",
            action="store_true",
            help="correct what differs. Others may write at the same time",
        )

    def handle(self, *, repair: bool, verbosity: int, **options: Any) -> None:
        lift_timeouts()
        report = []
        for table in TABLES:
            if wrong := _wrong_rows(table, repair=repair):
                what = "corrected" if repair else "wrong"
                report.append(f"words of {table['name']}: {len(wrong):,} {what}, "
                              f"for example id {wrong[0]}.")  # fmt: skip
        if verbosity:
            for line in report or ["The words of all articles and comments are correct."]:
                self.stdout.write(line)
        if report and not repair:
            raise CommandError("Some words are wrong. --repair corrects them.")


def _wrong_rows(table: dict[str, str], *, repair: bool) -> list[int]:
    """The ids of the rows with wrong words, which are corrected if `repair` is true."""
    found: list[int] = []
    with connection.cursor() as cursor:
        for bounds in _batches(cursor, table):
            cursor.execute(WRONG.format(**table), bounds)
            wrong = [row_id for (row_id,) in cursor.fetchall()]
            if wrong and repair:
                _repair(cursor, table, wrong)
            found += wrong
    return found


def _batches(cursor: Any, table: dict[str, str]) -> Iterator[dict[str, int]]:
    """The bounds of each batch: the last id before it, and its own last id."""
    after = 0
    while True:
        cursor.execute(LAST.format(**table, batch=BATCH), {"after": after})
        (last,) = cursor.fetchone()
        if last is None:
            return
        yield {"after": after, "last": last}
        after = last


@transaction.atomic
def _repair(cursor: Any, table: dict[str, str], wrong: list[int]) -> None:
    for statement in (LOCK, DELETE, STORE):
        cursor.execute(statement.format(**table), {"wrong": wrong})
