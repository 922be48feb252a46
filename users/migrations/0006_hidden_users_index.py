"""The index of hidden users. Writes wait until it is built; reads do not."""

from django.db import migrations, models

from database.table_locks import ACCESS_EXCLUSIVE, SHARE_ROW_EXCLUSIVE, lock


class Migration(migrations.Migration):
    dependencies = [("users", "0005_token_generation")]

    operations = [
        lock("users_user", forwards=SHARE_ROW_EXCLUSIVE),
        migrations.AddIndex(
            "user",
            models.Index(
                condition=models.Q(("hidden_at__isnull", False)), fields=["id"], name="hidden_users"
            ),
        ),
        # Without statistics, PostgreSQL would estimate that almost all users are hidden.
        migrations.RunSQL("ANALYZE users_user (hidden_at)", migrations.RunSQL.noop),
        lock("users_user", backwards=ACCESS_EXCLUSIVE),
    ]
