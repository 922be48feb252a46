"""Indexes for the newest articles of a tag and of a reader.

Writers of the tables wait until the indexes are built, for a part of the time that 0004 takes. Not
CONCURRENTLY: a failure would leave an invalid index.
"""

from django.db import migrations, models

from database.table_locks import ACCESS_EXCLUSIVE, SHARE_ROW_EXCLUSIVE, lock

TABLES = ("articles_tagging", "articles_favorite")


class Migration(migrations.Migration):
    dependencies = [("articles", "0004_copy_from_article")]

    operations = [
        lock(*TABLES, forwards=SHARE_ROW_EXCLUSIVE),
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
        lock(*TABLES, backwards=ACCESS_EXCLUSIVE),
    ]
