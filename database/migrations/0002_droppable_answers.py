"""What the oldest kept answers of a user are, and which objects they show.

Requests with an Idempotency-Key wait while the index is built: over the rows of one day.
"""

from django.db import migrations, models

from database.table_locks import EVERYBODY, lock


class Migration(migrations.Migration):
    dependencies = [("database", "0001_initial")]

    operations = [
        lock("database_idempotencykey", forwards=EVERYBODY),
        migrations.AddField("idempotencykey", "object_id", models.BigIntegerField(null=True)),
        migrations.AddIndex(
            "idempotencykey",
            models.Index(fields=["user", "-created_at"], name="newest_idempotency_keys"),
        ),
        lock("database_idempotencykey", backwards=EVERYBODY),
    ]
