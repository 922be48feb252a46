"""What the hot reads cost in PostgreSQL: `python -m tests.benchmarks.scale.queries` prints JSON.

It is another process, because a Django process cannot change its database.
"""

import json
from typing import Any, LiteralString

import django
from django.db import connection

from database.prepared.declaring import Prepared
from tests.benchmarks.content import PEOPLE, READERS
from tests.database.servers import PostgreSQL
from tests.processes import run

TIMES = 11
FOLLOWER = PEOPLE  # the last named user. Follows 5,000 writers only here
# What the content of the benchmarks lacks: the follower of thousands, many tags, and words of the
# newest articles and comments.
FOLLOWED, MORE_TAGS, WITH_WORDS = 5_000, 100_000, 100_000
EXTRA: tuple[LiteralString, ...] = (
    """
    INSERT INTO profiles_follow (follower_id, followed_id, created_at)
        SELECT %(follower)s, id, now() FROM users_user
        WHERE id <> %(follower)s AND id <= %(followed)s + 1 ON CONFLICT DO NOTHING
    """,
    """
    INSERT INTO articles_articletext
        SELECT id, article_words(id, title, description, body) FROM articles_article
        WHERE id > (SELECT max(id) FROM articles_article) - %(words)s ON CONFLICT DO NOTHING
    """,
    """
    INSERT INTO articles_commenttext
        SELECT id, comment_words(id, body) FROM articles_comment
        WHERE id > (SELECT max(id) FROM articles_comment) - %(words)s ON CONFLICT DO NOTHING
    """,
    "VACUUM (ANALYZE) profiles_follow, articles_articletext, articles_commenttext",
)
MANY_TAGS: tuple[LiteralString, ...] = (
    "INSERT INTO articles_tag (name) SELECT 'more-' || n FROM generate_series(1, %(tags)s) AS n",
    """
    INSERT INTO articles_tally (counted, key, count)
        SELECT 2, id, 1 FROM articles_tag WHERE starts_with(name, 'more-')
    """,
    "VACUUM (ANALYZE) articles_tag, articles_tally",
)
VALUES = {"follower": FOLLOWER, "followed": FOLLOWED, "words": WITH_WORDS, "tags": MORE_TAGS}


def execute(postgresql: PostgreSQL, statements: tuple[LiteralString, ...]) -> None:
    """Run EXTRA or MANY_TAGS."""
    with postgresql.session() as session:
        for statement in statements:
            session.execute(statement, VALUES if "%(" in statement else None)


def measure(postgresql: PostgreSQL) -> dict[str, list[float]]:
    """Milliseconds and pages read, by query."""
    process = run("-m", __name__, DATABASE_URL=postgresql.url())
    assert process.returncode == 0, process.stderr
    found: dict[str, list[float]] = json.loads(process.stdout)
    return found


def main() -> None:
    django.setup()
    print(json.dumps({name: _cost(*call) for name, call in _calls().items()}))


def _calls() -> dict[str, tuple[Prepared[..., Any], dict[str, Any]]]:
    from articles.queries import (
        article_with_slug,
        comments_on,
        list_articles,
        list_articles_after,
        search_articles,
        tags_most_used_first,
    )
    from profiles.queries import profile_named

    viewer = {"viewer": READERS["viewer"]}
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM profiles_follow WHERE follower_id = %s", [FOLLOWER])
        (followed,) = cursor.fetchone()
        key = "SELECT created_at, id FROM articles_article ORDER BY id OFFSET 10000 LIMIT 1"
        cursor.execute(key)
        created_at, article_id = cursor.fetchone()

    def feed(reader: int) -> tuple[Prepared[..., Any], dict[str, Any]]:
        return list_articles, {"feed_of": reader, "viewer": reader}

    calls: dict[str, tuple[Prepared[..., Any], dict[str, Any]]] = {
        "newest": (list_articles, viewer),
        "tag of 5 % of all articles": (list_articles, viewer | {"tag": "common"}),
        "rare tag": (list_articles, viewer | {"tag": "rare"}),
        "author": (list_articles, viewer | {"author": "prolific"}),
        "favorites of a reader": (list_articles, viewer | {"favorited_by": "reader-of-1000"}),
        "feed of 20": feed(READERS["follows20"]),
        "feed of 500": feed(READERS["follows500"]),
        "article": (article_with_slug, viewer | {"slug": "article-number-7"}),
        "comments": (comments_on, viewer | {"slug": "discussed"}),
        "profile": (profile_named, viewer | {"username": "user700"}),
        "search, frequent word": (search_articles, viewer | {"text": "the"}),
        "search, two words": (search_articles, viewer | {"text": "library bridges"}),
        "page after 10,000 articles, by offset": (list_articles, viewer | {"offset": 10_000}),
        "page after any number, by key": (
            list_articles_after,
            viewer | {"created_at": created_at, "article_id": article_id},
        ),
        "tags": (tags_most_used_first, {}),
    }
    if followed >= FOLLOWED:  # the smallest site has fewer users and articles
        calls["feed of 5,000"] = feed(FOLLOWER)
        calls["page after 100,000 articles, by offset"] = (
            list_articles,
            viewer | {"offset": 100_000},
        )
    return calls


def _cost(query: Prepared[..., Any], arguments: dict[str, Any]) -> list[float]:
    """The least milliseconds of planning and execution, and the pages that are read."""
    text, parameters = query.compiled(query.shape_of(arguments))
    values = [arguments[parameter] for parameter in parameters]
    places = f"({', '.join(['%s'] * len(values))})" if values else ""
    explain = f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) EXECUTE asked{places}"
    with connection.cursor() as cursor:
        cursor.execute(f"PREPARE asked AS {text}")
        plans = []
        for _ in range(TIMES):
            cursor.execute(explain, values)
            ((plan,),) = cursor.fetchone()
            plans.append(plan if isinstance(plan, dict) else json.loads(plan))
        cursor.execute("DEALLOCATE asked")
    spent = [each["Planning Time"] + each["Execution Time"] for each in plans[1:]]
    pages = plans[-1]["Plan"]["Shared Hit Blocks"] + plans[-1]["Plan"]["Shared Read Blocks"]
    return [round(min(spent), 3), pages]


if __name__ == "__main__":
    main()
