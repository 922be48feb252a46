"""Stores the words of the existing articles and comments, and indexes them.

Each batch is a transaction of its own. No reader and no writer waits. If the migration is stopped,
run it again: it continues with the rows that have no words.
"""

from typing import Any

from django.db import OperationalError, migrations
from psycopg.errors import DeadlockDetected

from database.indexes import create_index

BATCH = 500  # rows, in about 0.2 s

# A text that was written by a trigger is newer. The lock prevents that the text of a row is stored
# after the row was deleted.
FILL = """
    INSERT INTO {texts}
    SELECT id, {words} FROM (
        SELECT * FROM {table} AS source
        WHERE id > %(after)s AND id <= %(last)s
            AND NOT EXISTS (SELECT FROM {texts} AS text WHERE text.id = source.id)
        ORDER BY id FOR KEY SHARE
    ) AS locked
    ON CONFLICT (id) DO NOTHING
"""
LAST = "SELECT max(id) FROM (SELECT id FROM {table} WHERE id > %s ORDER BY id LIMIT {batch}) AS ids"
SOURCES = (
    ("articles_article", "articles_articletext", "article_words(id, title, description, body)"),
    ("articles_comment", "articles_commenttext", "comment_words(id, body)"),
)


def fill(apps: Any, schema_editor: Any) -> None:
    for table, texts, words in SOURCES:
        last_of_batch = LAST.format(table=table, batch=BATCH)
        statement = FILL.format(table=table, texts=texts, words=words)
        with schema_editor.connection.cursor() as cursor:
            after = 0
            while True:
                cursor.execute(last_of_batch, [after])
                (last,) = cursor.fetchone()
                if last is None:
                    break
                try:
                    cursor.execute(statement, {"after": after, "last": last})
                except OperationalError as error:
                    if not isinstance(error.__cause__, DeadlockDetected):
                        raise
                else:
                    after = last


# New words are collected in a list of at most 1 MiB, and then written to the index together. That
# halves the cost of a new article. A search reads the whole list, in about 1 ms.
OPTIONS = "USING gin (words) WITH (fastupdate = on, gin_pending_list_limit = 1024)"


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("articles", "0019_search")]

    operations = [
        migrations.RunPython(fill, migrations.RunPython.noop),
        create_index("words_of_articles", f"articles_articletext {OPTIONS}"),
        create_index("words_of_comments", f"articles_commenttext {OPTIONS}"),
    ]
