"""The limit: the page of articles as one statement by hand, on a table made for this page.

The table holds the tag names and the number of favorites of each article. The statement also
checks the user. A bare WSGI function runs it and returns the same JSON as this project.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import LiteralString

from tests.benchmarks import subjects
from tests.benchmarks.subjects import Server
from tests.database.servers import PostgreSQL

DROP: LiteralString = "DROP TABLE IF EXISTS limit_article, limit_total"
CREATE: tuple[LiteralString, ...] = (
    DROP,  # the tables of a run that was killed
    """
    CREATE TABLE limit_article AS
    SELECT id, author_id, slug, title, description, body, created_at, updated_at,
           ARRAY(
               SELECT name FROM articles_tagging JOIN articles_tag ON articles_tag.id = tag_id
               WHERE article_id = article.id ORDER BY name COLLATE "C"
           ) AS tags,
           (SELECT count(*) FROM articles_favorite WHERE article_id = article.id) AS favorites
    FROM articles_article AS article ORDER BY id
    """,
    "CREATE INDEX ON limit_article (created_at DESC, id DESC)",
    "CREATE TABLE limit_total AS SELECT count(*) FROM limit_article",
    "VACUUM ANALYZE limit_article, limit_total",
)
# Its columns are those of the query of this project, in the same order. OFFSET 0 keeps PostgreSQL
# from a hash join, which would read all users: the page would take three times as long.
PAGE: LiteralString = """
SELECT article.id, slug, title, description, tags, article.created_at, updated_at,
       EXISTS (SELECT FROM articles_favorite WHERE user_id = viewer.id AND article_id = article.id),
       favorites, author.username, author.bio, author.image,
       EXISTS (SELECT FROM profiles_follow WHERE follower_id = viewer.id
                                           AND followed_id = author_id),
       (SELECT count FROM limit_total)
FROM users_user AS viewer,
     LATERAL (SELECT * FROM limit_article ORDER BY created_at DESC, id DESC LIMIT 20) AS article,
     LATERAL (SELECT username, bio, image FROM users_user WHERE id = author_id OFFSET 0) AS author
WHERE viewer.id = $1 AND viewer.is_active
ORDER BY article.created_at DESC, article.id DESC
"""


@contextmanager
def serving(postgresql: PostgreSQL) -> Iterator[Server]:
    """The server of the limit. Its tables are dropped at the end of the block."""
    for statement in CREATE:
        postgresql.execute(statement)
    try:
        with subjects.raw_wsgi(postgresql, {"page": PAGE}) as server:
            yield server
    finally:
        postgresql.execute(DROP)
