"""Articles have the names of their tags. A separate, short transaction adds the column, because it
blocks readers."""

import django.contrib.postgres.fields
from django.db import migrations, models

from database.table_locks import ACCESS_EXCLUSIVE, lock


class Migration(migrations.Migration):
    dependencies = [("articles", "0012_drop_newest_articles")]

    operations = [
        lock("articles_article", forwards=ACCESS_EXCLUSIVE),
        migrations.AddField(
            "article",
            "tag_names",
            django.contrib.postgres.fields.ArrayField(
                base_field=models.TextField(), db_default=[], editable=False, size=None
            ),
        ),
        lock("articles_article", backwards=ACCESS_EXCLUSIVE),
    ]
