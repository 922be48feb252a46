"""Indexes that give the newest articles of a tag and of a reader.

Whoever writes to one of the tables waits until they are built. That is a part of what 0004 took,
and all of it or nothing is done; built CONCURRENTLY, an index would be left behind invalid where
that fails.
"""

from django.db import migrations, models

from database.table_locks import EVERYBODY, WRITERS, lock

TABLES = ("articles_tagging", "articles_favorite")


class Migration(migrations.Migration):
    dependencies = [("articles", "0004_copy_from_article")]

    operations = [
        lock(*TABLES, forwards=WRITERS),
        migrations.AddIndex(
            "tagging",
            models.Index(
                fields=["tag", "-article_created_at", "-article"], name="newest_articles_of_tag"
            ),
        ),
        migrations.AddIndex(
            "tagging",
            models.Index(
                fields=["tag", "article_author", "-article_created_at", "-article"],
                name="newest_of_tag_and_author",
            ),
        ),
        migrations.AddIndex(
            "favorite",
            models.Index(
                fields=["user", "-article_created_at", "-article"],
                include=["article_author"],
                name="newest_favorites_of_user",
            ),
        ),
        lock(*TABLES, backwards=EVERYBODY),
    ]
