"""Drops the indexes that 0011 replaces, in a separate transaction, because it blocks readers."""

from django.db import migrations

from database.table_locks import ACCESS_EXCLUSIVE, SHARE_ROW_EXCLUSIVE, lock

TABLES = ("articles_article", "articles_tagging", "articles_comment")


class Migration(migrations.Migration):
    dependencies = [("articles", "0011_hidden_counts")]

    operations = [
        lock(*TABLES, forwards=ACCESS_EXCLUSIVE),
        migrations.RemoveIndex("article", "newest_articles"),
        migrations.RemoveIndex("article", "newest_articles_of_author"),
        migrations.RemoveIndex("tagging", "newest_articles_of_tag"),
        migrations.RemoveIndex("tagging", "newest_of_tag_and_author"),
        migrations.RemoveIndex("comment", "newest_comments"),
        # Without statistics PostgreSQL would estimate that almost all rows are hidden.
        migrations.RunSQL(
            "ANALYZE articles_article (hidden_at), articles_comment (hidden_at),"
            " articles_tagging (article_hidden)",
            migrations.RunSQL.noop,
        ),
        lock(*TABLES, backwards=SHARE_ROW_EXCLUSIVE),
    ]
