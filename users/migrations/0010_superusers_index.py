"""The index of superusers, whose rows are locked before a user is removed. Nobody waits for it."""

from django.db import migrations, models

from database.indexes import AddIndex


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("users", "0009_find_users")]

    operations = [
        AddIndex(
            "user",
            models.Index(fields=["id"], name="superusers", condition=models.Q(is_superuser=True)),
        ),
    ]
