"""What the oldest kept answers of a user are, and which objects they show.

Requests with an Idempotency-Key wait while the index is built: over the rows of one day.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("database", "0001_initial")]

    operations = [
        migrations.AddField("idempotencykey", "object_id", models.BigIntegerField(null=True)),
        migrations.AddIndex(
            "idempotencykey",
            models.Index(fields=["user", "-created_at"], name="newest_idempotency_keys"),
        ),
    ]
