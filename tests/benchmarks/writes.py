"""The cost of exact counts and copies for writes: the same database with and without triggers.

The transactions are those of the API, without the reads before and after them, which would hide
the cost of the triggers.
"""

from statistics import median

import psycopg
from psycopg import sql

from tests.benchmarks import content
from tests.benchmarks.costs import median_ratio
from tests.benchmarks.kept import copied, site
from tests.benchmarks.pgbench import CLIENTS, transactions
from tests.benchmarks.report import Row, at_least
from tests.database.servers import PostgreSQL

BOUND = 0.75
SIZE = content.SIZES["small"]

# The first of the three tags is one of 19, so that simultaneous writers change the same count.
ARTICLE = """
\\set author random(:first_user, :last_user)
\\set first random(5, 23)
\\set second random(24, 103)
\\set third random(104, :tags)
BEGIN;
INSERT INTO articles_tag (name)
    VALUES ('tag' || :first), ('tag' || :second), ('tag' || :third) ON CONFLICT DO NOTHING;
SELECT id, name FROM articles_tag
    WHERE name IN ('tag' || :first, 'tag' || :second, 'tag' || :third);
SAVEPOINT slug;
INSERT INTO articles_article (author_id, created_at, updated_at, slug, title, description, body,
        tag_names)
    VALUES (:author, now(), now(), 'written-' || gen_random_uuid(), 'Written by pgbench',
            'About nothing', repeat('word ', 200), ARRAY(
                SELECT 'tag' || n FROM unnest(ARRAY[:first, :second, :third]::bigint[]) AS n
                ORDER BY ('tag' || n) COLLATE "C"
            ))
    RETURNING id AS article \\gset
RELEASE SAVEPOINT slug;
INSERT INTO articles_tagging (article_id, tag_id)
    VALUES (:article, :first), (:article, :second), (:article, :third)
    RETURNING id, article_created_at, article_author_id, article_hidden;
COMMIT;
"""

FAVORITE = """
\\set reader random(:first_user, :last_user)
\\set article random(1, :articles)
BEGIN;
INSERT INTO articles_favorite (user_id, article_id, created_at)
    VALUES (:reader, :article, now()) ON CONFLICT DO NOTHING;
COMMIT;
"""

VARIABLES = {
    "first_user": content.PEOPLE + 1,
    "last_user": SIZE.users,
    "articles": SIZE.articles,
    "tags": content.TAGS,
}
SCRIPTS = {"article inserts": ARTICLE, "favorite inserts": FAVORITE}


def compare(times: int, seconds: float) -> list[Row]:
    """Prints all figures."""
    rows = []
    print(f"\nTransactions/s by pgbench, {CLIENTS} clients; medians of {times} rounds\n")
    print(f"{'':20}triggers  no triggers   ratio")
    with site("small") as postgresql:
        for name, script in SCRIPTS.items():
            complete, bare = _rounds(postgresql, script, times, seconds)
            ratio = median_ratio(complete, bare)
            print(f"{name:20}{median(complete):8.0f}{median(bare):13.0f}{ratio:8.2f}")
            what = f"{name} against none counted or copied, {CLIENTS} clients"
            rows.append(at_least(what, ratio, BOUND))
    return rows


def _rounds(
    postgresql: PostgreSQL, script: str, times: int, seconds: float
) -> tuple[list[float], list[float]]:
    rates: tuple[list[float], list[float]] = [], []
    # New copies for each script, so that the rows of another script do not change the result.
    with copied(postgresql, "complete") as complete, copied(postgresql, "bare") as bare:
        _drop_triggers(bare)
        for _ in range(times):
            for url, each in zip((complete, bare), rates, strict=True):
                postgresql.execute("CHECKPOINT")  # so that none starts in the middle of a round
                each.append(transactions(url, script, seconds=seconds, variables=VARIABLES))
    return rates


def _drop_triggers(url: str) -> None:
    """Drop every trigger that keeps a count, a copy or tag names. Those of old slugs and of the
    search stay."""
    found = """
        SELECT tgrelid::regclass::text, tgname FROM pg_trigger
        WHERE NOT tgisinternal
            AND tgname NOT IN ('first_slug', 'new_slug') AND tgname NOT LIKE 'text_%'
    """
    with psycopg.connect(url, autocommit=True) as session:
        triggers = session.execute(found).fetchall()
        assert triggers, "no trigger counts"
        for table, name in triggers:
            drop = sql.SQL("DROP TRIGGER {} ON {}")
            session.execute(drop.format(sql.Identifier(name), sql.Identifier(table)))
