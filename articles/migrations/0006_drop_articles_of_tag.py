"""Drops an index that the indexes of 0005 replace. The lock blocks readers, but only for an instant."""

from django.db import migrations

from database.table_locks import ACCESS_EXCLUSIVE, SHARE_ROW_EXCLUSIVE, lock


class Migration(migrations.Migration):
    dependencies = [("articles", "0005_newest_first")]

    operations = [
        lock("articles_tagging", forwards=ACCESS_EXCLUSIVE),
        migrations.RemoveIndex("tagging", "articles_of_tag"),
        lock("articles_tagging", backwards=SHARE_ROW_EXCLUSIVE),
    ]
