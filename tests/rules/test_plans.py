"""The query plans of the API: index scans that read only the rows of the page.

The database is small, but large enough that the planner prefers an index. Each query is prepared,
as in production, and planned in both modes: with a generic plan and with a custom plan.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, LiteralString, NamedTuple, Self

import psycopg
import pytest
from psycopg import sql

from articles.queries import (
    article_with_id,
    article_with_slug,
    comments_on,
    current_slug,
    list_articles,
    list_articles_after,
    tags_most_used_first,
)
from database.prepared.declaring import Prepared, Shape
from profiles.queries import profile_named
from tests.database.servers import migrated
from tests.rules.planning import MODES, VALUES, modes_of, plan_of, prepared, session_of
from users.queries import active_user

# The compiled SQL depends on the version of the server.
pytestmark = [pytest.mark.django_db, pytest.mark.plans]

QUERIES = [
    article_with_id,
    article_with_slug,
    comments_on,
    current_slug,
    list_articles,
    list_articles_after,
    tags_most_used_first,
    profile_named,
    active_user,
]
NO_ARGUMENTS = Shape(frozenset(), frozenset())

# user1 to user10 wrote 1,000 articles each, the others about six. tag1 is on 6,667 articles, tag2
# on 20. user20 favorited 1,053 articles. user21 follows 20 users, user22 50, user23 500, and user24
# follows user1 to user10.
CONTENT = """
    INSERT INTO users_user (id, password, is_superuser, email, email_folded, username,
        username_folded, is_active, is_staff, created_at)
        SELECT n, '', false, 'e' || n, 'e' || n, 'user' || n, 'user' || n, true, false, now()
        FROM generate_series(1, 2000) AS n;
    INSERT INTO articles_article
        (id, author_id, created_at, updated_at, slug, title, description, body)
        SELECT n, CASE n % 2 WHEN 0 THEN 1 + n / 2 % 10 ELSE 26 + n / 2 % 1700 END,
            '2001-02-03'::timestamptz + n / 2 * interval '1 minute', now(), 'slug-' || n,
            'A title', 'A description', repeat('A text. ', 50)
        FROM generate_series(1, 20000) AS n;
    INSERT INTO articles_tag (id, name) SELECT n, 'tag' || n FROM generate_series(1, 1000) AS n;
    INSERT INTO articles_tagging (article_id, tag_id)
        SELECT n, 1 FROM generate_series(1, 20000, 3) AS n
        UNION ALL SELECT n, 2 FROM generate_series(1, 20000, 1000) AS n
        UNION ALL SELECT n, 3 + (n * 7 + k * 500) % 997
        FROM generate_series(1, 20000) AS n, generate_series(0, 1) AS k;
    INSERT INTO articles_favorite (user_id, article_id, created_at)
        SELECT 20, n, now() FROM generate_series(1, 20000, 19) AS n
        UNION ALL SELECT 26 + (n + k * 400) % 1900, n, now()
        FROM generate_series(1, 20000) AS n, generate_series(0, 3) AS k;
    INSERT INTO profiles_follow (follower_id, followed_id, created_at)
        SELECT follower, 25 + n, now()
        FROM (VALUES (21, 20), (22, 50), (23, 500)) AS readers (follower, people),
            generate_series(1, people) AS n
        UNION ALL SELECT 24, n, now() FROM generate_series(1, 10) AS n
        UNION ALL SELECT n, 1 + (n + k * 5) % 24, now()
        FROM generate_series(26, 2000) AS n, generate_series(0, 4) AS k;
    INSERT INTO articles_comment (author_id, article_id, created_at, updated_at, body)
        SELECT 26 + n % 1000, n, now(), now(), 'A comment'
        FROM generate_series(1, 20000) AS n
        UNION ALL SELECT 26 + n % 1000, 7, now(), now(), 'A comment'
        FROM generate_series(1, 10000) AS n;
    INSERT INTO articles_oldslug (slug, article_id)
        SELECT 'old-slug-' || n, n FROM generate_series(1, 20000) AS n;
"""
LARGE = {
    "articles_article",
    "articles_comment",
    "articles_favorite",
    "articles_oldslug",
    "articles_tagging",
    "articles_tally",
    "profiles_follow",
    "users_user",
}


@pytest.fixture(scope="module")
def session() -> Iterator[psycopg.Connection]:
    with migrated(autovacuum="off") as server, server.session() as loading:
        loading.execute(CONTENT)
        loading.execute("VACUUM (ANALYZE)")
        with session_of(server) as session:
            yield session


class Scan(NamedTuple):
    kind: str
    table: str
    index_name: str
    index_condition: str
    filters: str
    rows: float
    """The number of rows read in all loops, with the rows that filters removed."""

    @classmethod
    def of(cls, node: dict[str, Any]) -> Self:
        removed = sum(value for key, value in node.items() if key.startswith("Rows Removed"))
        return cls(
            node["Node Type"],
            node["Relation Name"],
            node.get("Index Name", ""),
            node.get("Index Cond", ""),
            f"{node.get('Filter', '')} {node.get('Recheck Cond', '')}",
            (node["Actual Rows"] + removed) * node["Actual Loops"],
        )


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def scans_of(
    session: psycopg.Connection, query: Prepared[..., Any], shape: Shape, mode: str, **values: Any
) -> list[Scan]:
    """The scans of tables in the plan of the query with these values."""
    return scans_in(plan_of(session, query, shape, mode, values, analyze=True))


def scans_in(plan: dict[str, Any]) -> list[Scan]:
    return [Scan.of(node) for node in nodes(plan) if "Relation Name" in node]


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.name)
def test_no_query_scans_a_whole_large_table(
    session: psycopg.Connection, query: Prepared[..., Any]
) -> None:
    for shape in query.shapes():
        for mode in modes_of(query, shape):
            for scan in scans_of(session, query, shape, mode, **VALUES):
                assert scan.kind != "Seq Scan" or scan.table not in LARGE, (shape, mode, scan)


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.name)
def test_every_parameter_is_an_index_condition(
    session: psycopg.Connection, query: Prepared[..., Any]
) -> None:
    for shape in query.shapes():
        scans = scans_of(session, query, shape, "force_generic_plan", **VALUES)
        for number, name in enumerate(query.compiled(shape).parameters, start=1):
            if name in ("limit", "offset"):
                continue
            key = name in ("created_at", "article_id")
            alone = re.compile(r"< ROW\(" if key else rf"= \${number}\)")
            assert any(alone.search(scan.index_condition) for scan in scans), (shape, name)
            assert not any(alone.search(scan.filters) for scan in scans), (shape, name)


# An article of a page reads about ten other rows: its author, tags and taggings, the number of its
# favorites, and whether the viewer favorited it and follows the author.
PAGES: list[tuple[dict[str, Any], str, int]] = [
    ({}, "newest_visible_articles", 300),
    ({"tag": "tag1"}, "newest_of_tag", 300),
    ({"tag": "tag2"}, "newest_of_tag", 300),
    ({"author": "user1"}, "newest_of_author", 300),
    ({"favorited_by": "user20"}, "newest_favorites_of_user", 300),
    # Also reads the newest article of each followed author, then 20 of each of 20 authors.
    ({"feed_of": 21}, "newest_of_author", 800),
    ({"feed_of": 22}, "newest_of_author", 900),
    ({"feed_of": 23}, "newest_of_author", 3500),
    ({"feed_of": 24}, "newest_of_author", 900),  # of 10,000
    # Also reads the articles that match both filters, but no others of the author or the tag.
    ({"tag": "tag1", "author": "user1"}, "newest_of_tag_by_author", 700),
    ({"tag": "tag1", "feed_of": 22}, "newest_of_tag_by_author", 800),
    ({"tag": "tag2", "feed_of": 24}, "newest_of_tag_by_author", 100),
    # Also reads the reader's favorites twice, but no others of the 6,667 articles with the tag.
    ({"tag": "tag1", "favorited_by": "user20"}, "newest_favorites_of_user", 2500),
    ({"author": "user1", "favorited_by": "user20"}, "newest_favorites_of_user", 2500),
    # For each favorite, it also reads whether the article is hidden.
    ({"feed_of": 24, "favorited_by": "user20"}, "newest_favorites_of_user", 4500),
]


@pytest.mark.parametrize(
    ("arguments", "index", "rows"),
    [
        *PAGES,
        # Of the rows before the page, only the index entries are read.
        ({"offset": 5000}, "newest_visible_articles", 5300),
        ({"tag": "tag1", "offset": 5000}, "newest_of_tag", 5300),
    ],
    ids=str,
)
def test_a_page_of_articles_reads_few_other_rows(
    session: psycopg.Connection, arguments: dict[str, Any], index: str, rows: int
) -> None:
    check_page(session, list_articles, arguments, index, rows)


# 90 % of all articles come before the key. They are not read.
@pytest.mark.parametrize("limit", [{}, {"limit": 19}], ids=str)
@pytest.mark.parametrize(("arguments", "index", "rows"), PAGES, ids=str)
def test_a_page_after_a_key_reads_no_more_rows_than_the_first(
    session: psycopg.Connection,
    arguments: dict[str, Any],
    index: str,
    rows: int,
    limit: dict[str, int],
) -> None:
    key = {"created_at": datetime(2001, 2, 3, 16, 40, tzinfo=UTC), "article_id": 2000}

    check_page(session, list_articles_after, arguments | key | limit, index, rows)


@pytest.mark.parametrize(
    "arguments", [{}, {"tag": "tag1"}, {"author": "user1"}, {"favorited_by": "user20"}], ids=str
)
def test_a_page_near_the_end_of_a_list_is_not_planned_anew_each_time(
    session: psycopg.Connection, arguments: dict[str, Any]
) -> None:
    key = {"created_at": datetime(2001, 2, 3, 0, 20, tzinfo=UTC), "article_id": 40}

    values = arguments | key | {"viewer": 21}
    compiled = list_articles_after.compiled(list_articles_after.shape_of(values))

    with prepared(session, compiled, values) as execute:
        session.execute("SET plan_cache_mode = auto")
        for _ in range(8):
            session.execute(execute)
        counts = "SELECT custom_plans, generic_plans FROM pg_prepared_statements WHERE name = %s"
        # The first five are planned for their values, to compare their costs.
        assert session.execute(counts, ["query"]).fetchall() == [(5, 3)]


def check_page(
    session: psycopg.Connection,
    query: Prepared[..., Any],
    arguments: dict[str, Any],
    index: str,
    rows: int,
) -> None:
    """The query uses the index, and reads at most this number of rows."""
    arguments = {"viewer": 21} | arguments
    shape = query.shape_of(arguments)

    for mode in modes_of(query, shape):
        scans = scans_of(session, query, shape, mode, **arguments)

        assert index in {scan.index_name for scan in scans}, mode
        assert sum(scan.rows for scan in scans) <= rows, (mode, scans)


# A comment reads two other rows: its author, and whether the viewer follows the author.
@pytest.mark.parametrize(
    ("arguments", "rows"),
    [({"limit": 30}, 120), ({"limit": 30, "offset": 5000}, 5200)],
    ids=str,
)
def test_a_page_of_comments_reads_few_other_rows(
    session: psycopg.Connection, arguments: dict[str, Any], rows: int
) -> None:
    arguments = {"slug": "slug-7", "viewer": 21} | arguments
    shape = comments_on.shape_of(arguments)

    for mode in modes_of(comments_on, shape):
        scans = scans_of(session, comments_on, shape, mode, **arguments)

        assert "newest_comments_of_article" in {scan.index_name for scan in scans}, mode
        assert sum(scan.rows for scan in scans) <= rows, (mode, scans)


# The counts of some tags have two parts. Every second tag has no articles.
TAGS = """
    TRUNCATE articles_tag, articles_tagging;
    DELETE FROM articles_tally WHERE counted = 2;
    INSERT INTO articles_tag (id, name)
        SELECT n, 'tag' || n FROM generate_series(1, {tags} * 2) AS n;
    INSERT INTO articles_tally (counted, key, count)
        SELECT 2, n * 2, 1 + n % 7 FROM generate_series(1, {tags}) AS n
        UNION ALL SELECT 2, n * 2, 1 FROM generate_series(1, {tags}, 10) AS n;
"""
ANALYZE = "ANALYZE articles_tag, articles_tally"
FORGET_STATISTICS = """
    DELETE FROM pg_statistic
        WHERE starelid IN ('articles_tag'::regclass, 'articles_tally'::regclass);
    UPDATE pg_class SET reltuples = -1, relpages = 0
        WHERE relname IN ('articles_tag', 'articles_tally')
"""
# As after the tables were emptied and analyzed, and before they are analyzed again.
EMPTIED = """
    UPDATE pg_class SET reltuples = 0, relpages = pg_relation_size(oid) / 8192
        WHERE relname IN ('articles_tag', 'articles_tally')
"""


@pytest.mark.parametrize(
    "statistics", [ANALYZE, FORGET_STATISTICS, EMPTIED], ids=["analyzed", "never", "emptied"]
)
@pytest.mark.parametrize("tags", [0, 10, 116, 5000])
def test_the_names_of_all_tags_are_read_once(
    session: psycopg.Connection, tags: int, statistics: LiteralString
) -> None:
    for mode in MODES:
        with session.transaction(force_rollback=True):
            session.execute(sql.SQL(TAGS).format(tags=sql.Literal(tags)))
            session.execute(statistics)
            plan = plan_of(session, tags_most_used_first, NO_ARGUMENTS, mode, {}, analyze=True)

        # Any join could become a loop that compares all tags with all counts.
        assert not any("Join Type" in node for node in nodes(plan)), (mode, plan)
        names = sum(scan.rows for scan in scans_in(plan) if scan.table == "articles_tag")
        assert names <= 2 * tags, (mode, plan)
