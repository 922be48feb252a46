"""Triggers keep the words of articles and comments, for full-text search.

Writers of articles and comments wait for a moment. The tables start empty; the next migration
fills them.
"""

from pathlib import Path

from django.db import migrations

from database.table_locks import ACCESS_EXCLUSIVE, SHARE_ROW_EXCLUSIVE, lock

TABLES = ("articles_article", "articles_comment")
SEARCH = (Path(__file__).with_name("sql") / "search.sql").read_text()
DROP = """
DROP FUNCTION store_article_text(), store_comment_text() CASCADE;
DROP FUNCTION newest_matches(regclass, text, bigint), search_query(text, boolean),
    article_words(bigint, text, text, text), comment_words(bigint, text), split_words(text);
DROP TABLE articles_articletext, articles_commenttext;
"""


class Migration(migrations.Migration):
    dependencies = [("articles", "0018_groups")]

    operations = [
        lock(*TABLES, forwards=SHARE_ROW_EXCLUSIVE),
        migrations.RunSQL(SEARCH, DROP),
        lock(*TABLES, backwards=ACCESS_EXCLUSIVE),
    ]
