"""Users can be hidden, and a table queues large deletions."""

import django.db.models.functions.datetime
from django.db import migrations, models

from database.table_locks import ACCESS_EXCLUSIVE, lock


class Migration(migrations.Migration):
    dependencies = [("users", "0003_normalize_names")]

    operations = [
        lock("users_user", forwards=ACCESS_EXCLUSIVE),
        migrations.AddField(
            "user", "hidden_at", models.DateTimeField(blank=True, editable=False, null=True)
        ),
        migrations.CreateModel(
            name="Deletion",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("model", models.CharField(max_length=100)),
                ("row_id", models.BigIntegerField()),
                (
                    "requested_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                ("claimed_until", models.DateTimeField(null=True)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("model", "row_id"), name="deletion_once")
                ]
            },
        ),
        lock("users_user", backwards=ACCESS_EXCLUSIVE),
    ]
