"""Indexes for the list of users in the admin, and for its search. Readers and writers do not wait."""

from django.db import migrations, models

from database.indexes import AddIndex

IN_ADMIN = models.Q(("id__gt", -4611686018427387904))


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("users", "0008_visibility_changes")]

    operations = [
        AddIndex(
            "user",
            models.Index(fields=["-created_at", "-id"], name="newest_users", condition=IN_ADMIN),
        ),
        *(
            AddIndex(
                "user", models.Index(fields=[column], name=name, opclasses=["text_pattern_ops"])
            )
            for column, name in (
                ("username_folded", "username_prefix"),
                ("email_folded", "email_prefix"),
            )
        ),
    ]
