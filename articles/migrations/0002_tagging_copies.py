"""Taggings get columns for the time and the author of their article.

The lock blocks readers, but only for an instant: PostgreSQL evaluates these defaults once and
rewrites no row. 0004 fills in the values. The previous version inserts rows without them.
"""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

from database.table_locks import ACCESS_EXCLUSIVE, lock


class Migration(migrations.Migration):
    dependencies = [
        ("articles", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        lock("articles_tagging", forwards=ACCESS_EXCLUSIVE),
        migrations.AddField(
            "tagging",
            "article_created_at",
            models.DateTimeField(
                db_default=django.db.models.functions.datetime.Now(), editable=False
            ),
        ),
        migrations.AddField(
            "tagging",
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
        lock("articles_tagging", backwards=ACCESS_EXCLUSIVE),
    ]
