"""The articles of a tag are found by newer indexes. Nobody can read the table meanwhile, but for
an instant only.
"""

from django.db import migrations

from database.table_locks import EVERYBODY, WRITERS, lock


class Migration(migrations.Migration):
    dependencies = [("articles", "0005_newest_first")]

    operations = [
        lock("articles_tagging", forwards=EVERYBODY),
        migrations.RemoveIndex("tagging", "articles_of_tag"),
        lock("articles_tagging", backwards=WRITERS),
    ]
