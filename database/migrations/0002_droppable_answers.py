"""Index the stored answers of a user by age, and add the object that an answer shows.

Requests with an Idempotency-Key wait while PostgreSQL builds the index on the rows of one day.
"""

from django.db import migrations, models

from database.table_locks import ACCESS_EXCLUSIVE, lock


class Migration(migrations.Migration):
    dependencies = [("database", "0001_initial")]

    operations = [
        lock("database_idempotencykey", forwards=ACCESS_EXCLUSIVE),
        migrations.AddField("idempotencykey", "object_id", models.BigIntegerField(null=True)),
        migrations.AddIndex(
            "idempotencykey",
            models.Index(fields=["user", "-created_at"], name="newest_idempotency_keys"),
        ),
        lock("database_idempotencykey", backwards=ACCESS_EXCLUSIVE),
    ]
