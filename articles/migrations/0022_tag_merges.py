"""The queue of large tags that are merged into others."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

from database.table_locks import SHARE_ROW_EXCLUSIVE, lock


class Migration(migrations.Migration):
    dependencies = [("articles", "0021_newest_in_admin")]

    operations = [
        # A foreign key to a table needs this lock of it.
        lock("articles_tag", forwards=SHARE_ROW_EXCLUSIVE),
        migrations.CreateModel(
            name="TagMerge",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "requested_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                (
                    "source",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.DB_CASCADE,
                        related_name="merge",
                        to="articles.tag",
                    ),
                ),
                (
                    "target",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.DB_CASCADE,
                        related_name="merges",
                        to="articles.tag",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("source", models.F("target")), _negated=True),
                        name="merge_of_two_tags",
                    )
                ],
            },
        ),
        lock("articles_tag", backwards=SHARE_ROW_EXCLUSIVE),
    ]
