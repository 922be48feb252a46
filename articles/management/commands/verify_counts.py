"""manage.py verify_counts: whether what triggers keep is what the tables say."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction

from articles.counts import Tally
from database.backend import lift_timeouts

Counted = Tally.Counted

# The rows that each count counts, and the column that is its key.
_OF_VISIBLE = "JOIN visible ON visible.id = article_id"
ROWS = {
    Counted.ARTICLES: ("visible", "0"),
    Counted.ARTICLES_OF_TAG: (f"articles_tagging {_OF_VISIBLE}", "tag_id"),
    Counted.ARTICLES_OF_AUTHOR: ("visible", "author_id"),
    Counted.FAVORITES_OF_ARTICLE: ("articles_favorite", "article_id"),
    Counted.FAVORITES_OF_USER: (f"articles_favorite {_OF_VISIBLE}", "user_id"),
}
# Tables whose rows copy columns of their article: the name in the report, each column with what
# it is a copy of.
COPIES = {
    "articles_tagging": (
        "taggings",
        {
            "article_created_at": "article.created_at",
            "article_author_id": "article.author_id",
            "article_hidden": "(article.hidden_at IS NOT NULL)",
        },
    ),
    "articles_favorite": (
        "favorites",
        {
            "article_created_at": "article.created_at",
            "article_author_id": "article.author_id",
        },
    ),
}
EXAMPLES = 3  # of each kind of count

# Every join is one of whole tables, which PostgreSQL does on its disk if it has to.
_VISIBLE = """
    WITH visible AS (
        SELECT article.id, author_id
        FROM articles_article AS article JOIN users_user AS author ON author.id = author_id
        WHERE article.hidden_at IS NULL AND author.hidden_at IS NULL
    )
"""
_COUNTS = _VISIBLE + " UNION ALL ".join(
    f"SELECT {counted:d}::smallint AS counted, {key}::bigint AS key, count(*) AS count"  # noqa: S608 -- no input
    f" FROM {rows} GROUP BY 2"
    for counted, (rows, key) in ROWS.items()
)
_TALLIES = "SELECT counted, key, sum(count) AS count FROM articles_tally GROUP BY counted, key"
WRONG_COUNTS = f"""
    SELECT counted, key, coalesce(counts.count, 0) AS there, coalesce(tallies.count, 0) AS stored
    FROM ({_COUNTS}) AS counts FULL JOIN ({_TALLIES}) AS tallies USING (counted, key)
    WHERE coalesce(counts.count, 0) <> coalesce(tallies.count, 0)
"""  # noqa: S608 -- no input
SHOW_WRONG_COUNTS = f"""
    SELECT counted, number, key, there, stored FROM (
        SELECT *, count(*) OVER kind AS number, row_number() OVER (kind ORDER BY key) AS place
        FROM ({WRONG_COUNTS}) AS wrong WINDOW kind AS (PARTITION BY counted)
    ) AS numbered
    WHERE place <= {EXAMPLES} ORDER BY counted, key
"""  # noqa: S608 -- no input
# Added as another part of the count. It is what the count lacks, whatever is written at the
# same time: a writer changes the rows and their count alike, and what is between them stays.
ADD_WHAT_IS_MISSING = f"""
    INSERT INTO articles_tally (counted, key, count)
    SELECT counted, key, there - stored FROM ({WRONG_COUNTS}) AS wrong
"""  # noqa: S608 -- no input
# The sum is that of the rows as they were deleted, so that none is lost and none comes twice.
# Those that somebody is writing to stay as they are.
FOLD = """
    WITH folded AS (
        DELETE FROM articles_tally WHERE id IN (
            SELECT id FROM articles_tally JOIN (
                SELECT counted, key FROM articles_tally GROUP BY counted, key
                HAVING count(*) > 1 OR sum(count) = 0
            ) AS split USING (counted, key)
            FOR UPDATE OF articles_tally SKIP LOCKED
        ) RETURNING counted, key, count
    ), whole AS (
        INSERT INTO articles_tally (counted, key, count)
        SELECT counted, key, sum(count) FROM folded GROUP BY counted, key HAVING sum(count) <> 0
    )
    SELECT count(DISTINCT (counted, key)) FROM folded
"""
_WRONG_COPIES = """
    {table} AS copy JOIN articles_article AS article ON article.id = copy.article_id
    WHERE ({copies}) IS DISTINCT FROM ({originals})
"""
SHOW_WRONG_COPIES = f"SELECT count(*), min(copy.id) FROM {_WRONG_COPIES}"  # noqa: S608 -- no input
LOCK_THEIR_ARTICLES = f"""
    SELECT count(*) FROM (SELECT FROM {_WRONG_COPIES} FOR KEY SHARE OF article) AS locked
"""  # noqa: S608 -- no input
COPY_ANEW = """
    UPDATE {table} AS copy SET ({columns}) = ROW ({originals})
    FROM articles_article AS article
    WHERE article.id = copy.article_id AND ({copies}) IS DISTINCT FROM ({originals})
"""


def _about(table: str, statement: str) -> str:
    """The statement with the names of a table with copies."""
    _, columns = COPIES[table]
    return statement.format(
        table=table,
        columns=", ".join(columns),
        copies=", ".join(f"copy.{name}" for name in columns),
        originals=", ".join(columns.values()),
    )


class Command(BaseCommand):
    help = (
        "Count everything that triggers count, as of one moment, and compare; then compare what "
        "taggings and favorites copy from their article. The exit status is 1 if anything "
        "differs. Nobody has to wait meanwhile."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--repair",
            action="store_true",
            help="make right what differs, and one row of the counts that have more. It may be "
            "run while others write",
        )

    def handle(self, *, repair: bool, verbosity: int, **options: Any) -> None:
        report = _repair() if repair else _differences()
        if verbosity:
            for line in report:
                self.stdout.write(line)
        if report and not repair:
            raise CommandError("Not everything is right. With --repair it is made so.")
        if verbosity and not report:
            self.stdout.write("Every count is right, and so is every copy.")


def _differences() -> list[str]:
    """What is wrong, a line for each kind; as of one moment."""
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        lift_timeouts()
        cursor.execute(SHOW_WRONG_COUNTS)
        examples: dict[tuple[int, int], list[str]] = {}
        for counted, number, key, there, stored in cursor.fetchall():
            example = f"{stored} for {there} (key {key})"
            examples.setdefault((counted, number), []).append(example)
        lines = [
            f"{Counted(counted).label}: {number:,} wrong, such as {', '.join(shown)}."
            for (counted, number), shown in examples.items()
        ]
        for table, (name, _) in COPIES.items():
            cursor.execute(_about(table, SHOW_WRONG_COPIES))
            number, first = cursor.fetchone()
            if number:
                lines.append(f"copies in {name}: {number:,} wrong, such as that with id {first}.")
    return lines


def _repair() -> list[str]:
    """Make everything right, and say what it took."""
    done = {}
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        # Every statement must see what those before it have waited for.
        cursor.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        lift_timeouts()
        # Two repairs at once would both add what is missing.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('verify_counts'))")
        cursor.execute(ADD_WHAT_IS_MISSING)
        done["counts corrected"] = cursor.rowcount
        cursor.execute(FOLD)
        (done["counts put into one row"],) = cursor.fetchone()
        for table, (name, _) in COPIES.items():
            # Before the rows, as whoever changes the article does.
            cursor.execute(_about(table, LOCK_THEIR_ARTICLES))
            cursor.execute(_about(table, COPY_ANEW))
            done[f"copies in {name} corrected"] = cursor.rowcount
    return [f"{what}: {number:,}" for what, number in done.items() if number]
