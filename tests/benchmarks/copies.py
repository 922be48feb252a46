"""Multiplies a demo site by SQL: `manage.py demo_data` takes ten minutes for a million articles.

Each copy of the site has its own users, and articles, comments, favorites and follows of these
users. All copies share the tags. The articles of a copy are a day older than those of the copy
before, so the newest articles are those of the original: two answers about them differ only by
the size of the site around them.
"""

from typing import LiteralString

import psycopg
from psycopg import sql

# Foreign keys hold, and counts are corrected afterwards: checking each row would take longer.
BEGIN: LiteralString = "SET session_replication_role = replica"

NUMBERS: dict[str, LiteralString] = {
    "users": "SELECT max(id) FROM users_user",
    "articles": "SELECT max(id) FROM articles_article",
}
SEQUENCES: LiteralString = """
    SELECT setval(pg_get_serial_sequence('users_user', 'id'), (SELECT max(id) FROM users_user)),
           setval(pg_get_serial_sequence('articles_article', 'id'),
                  (SELECT max(id) FROM articles_article))
"""

# The columns that differ from the original row in the copy number `copy`.
AUTHOR: LiteralString = "author_id + copy * {users}"
ARTICLE: LiteralString = "article_id + copy * {articles}"
OLDER: LiteralString = "created_at - copy * interval '1 day'"
CHANGED: dict[LiteralString, dict[str, LiteralString]] = {
    "users_user": {
        "id": "id + copy * {users}",
        "username": "username || '-copy' || copy",
        "username_folded": "username_folded || '-copy' || copy",
        "email": "'copy' || copy || email",
        "email_folded": "'copy' || copy || email_folded",
    },
    "profiles_follow": {
        "follower_id": "follower_id + copy * {users}",
        "followed_id": "followed_id + copy * {users}",
    },
    "articles_article": {
        "id": "id + copy * {articles}",
        "author_id": AUTHOR,
        "slug": "slug || '-copy' || copy",
        "created_at": OLDER,
        "updated_at": "updated_at - copy * interval '1 day'",
    },
    "articles_tagging": {
        "article_id": ARTICLE,
        "article_author_id": "article_" + AUTHOR,
        "article_created_at": "article_" + OLDER,
    },
    "articles_favorite": {
        "user_id": "user_id + copy * {users}",
        "article_id": ARTICLE,
        "article_author_id": "article_" + AUTHOR,
        "article_created_at": "article_" + OLDER,
    },
    "articles_comment": {"article_id": ARTICLE, "author_id": AUTHOR},
}
COLUMNS: LiteralString = """
    SELECT attname FROM pg_attribute
    WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped
"""


def multiply(session: psycopg.Connection, times: int) -> None:
    """Make `times - 1` copies of the site.

    `session` belongs to a superuser, has autocommit, and must not be used afterwards. The counts
    that triggers maintain are missing: run `verify_counts --repair`.
    """
    session.execute(BEGIN)
    numbers = {name: session.execute(query).fetchall()[0][0] for name, query in NUMBERS.items()}
    for table, changed in CHANGED.items():
        found = [name for (name,) in session.execute(COLUMNS, [table]).fetchall()]
        columns = [name for name in found if name != "id" or name in changed]
        values = [
            sql.SQL(changed[name]).format(**numbers) if name in changed else sql.Identifier(name)
            for name in columns
        ]
        copy = sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {}, generate_series(1, {}) AS copy {}")
        statement = copy.format(
            sql.Identifier(table),
            sql.SQL(", ").join(map(sql.Identifier, columns)),
            sql.SQL(", ").join(values),
            sql.Identifier(table),
            times - 1,
            # The articles of a real site are stored in the order of their time.
            sql.SQL("ORDER BY " + OLDER if "created_at" in changed else ""),
        )
        session.execute(statement)
    session.execute(SEQUENCES)
