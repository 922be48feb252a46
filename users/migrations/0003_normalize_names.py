"""Usernames and e-mails are stored in NFC, and folded by NFKC case folding.

Each batch is a transaction of its own, so that no row is locked for long. Only wrong rows are
written, which have characters outside ASCII. If two accounts now have the same name, the migration
lists them and stops; run it again after one account of each pair has another name.
"""

from typing import Any

import users.model_fields
from django.db import migrations

from users.name_repair import repair


def repair_names(apps: Any, schema_editor: Any) -> None:
    # The migration's model has a plain manager.
    users = apps.get_model("users", "User").objects.using(schema_editor.connection.alias)
    repair(users.all())


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("users", "0002_known_addresses")]
    operations = [
        migrations.AlterField(
            "user",
            "email",
            users.model_fields.NormalizedEmailField(max_length=254, verbose_name="e-mail"),
        ),
        migrations.AlterField(
            "user", "username", users.model_fields.NormalizedCharField(max_length=64)
        ),
        # Backwards needs no change: the previous folding made fewer names equal.
        migrations.RunPython(repair_names, migrations.RunPython.noop),
    ]
