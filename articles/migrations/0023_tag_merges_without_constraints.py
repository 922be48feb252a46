"""The queue of merges of tags has no foreign keys: a TRUNCATE of the tags would have to name it."""

import django.db.models.deletion
from django.db import migrations, models

from database.table_locks import ACCESS_EXCLUSIVE, SHARE_ROW_EXCLUSIVE, lock


class Migration(migrations.Migration):
    dependencies = [("articles", "0022_tag_merges")]

    operations = [
        # To drop a foreign key takes this lock of both tables, for a moment.
        lock("articles_tag", "articles_tagmerge", forwards=ACCESS_EXCLUSIVE),
        migrations.AlterField(
            "tagmerge",
            "source",
            models.OneToOneField(
                db_constraint=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="merge",
                to="articles.tag",
            ),
        ),
        migrations.AlterField(
            "tagmerge",
            "target",
            models.ForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="merges",
                to="articles.tag",
            ),
        ),
        lock("articles_tag", "articles_tagmerge", backwards=SHARE_ROW_EXCLUSIVE),
    ]
