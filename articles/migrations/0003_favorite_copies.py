"""Favorites get the same columns, in a separate transaction: a reader of both tables could hold one
table and wait for the other, a deadlock.
"""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

from database.table_locks import ACCESS_EXCLUSIVE, lock


class Migration(migrations.Migration):
    dependencies = [
        ("articles", "0002_tagging_copies"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        lock("articles_favorite", forwards=ACCESS_EXCLUSIVE),
        migrations.AddField(
            "favorite",
            "article_created_at",
            models.DateTimeField(
                db_default=django.db.models.functions.datetime.Now(), editable=False
            ),
        ),
        migrations.AddField(
            "favorite",
            "article_author",
            models.ForeignKey(
                db_constraint=False,
                db_default=0,
                db_index=False,
                editable=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        lock("articles_favorite", backwards=ACCESS_EXCLUSIVE),
    ]
