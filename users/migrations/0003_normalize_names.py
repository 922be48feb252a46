"""Usernames and e-mails are stored in NFC, and folded by NFKC case folding.

Not in one transaction: each batch commits, so that no row is locked for long. Only rows that
change are written: those with characters outside ASCII. Where two accounts have one name now,
the migration says which and stops; run it again when one of each pair has another name.
"""

from typing import Any

import users.model_fields
from django.db import migrations

from users.name_repair import repair


def repair_names(apps: Any, schema_editor: Any) -> None:
    # The plain manager of the migration's model.
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
        # Nothing to do on the way back: the former folding tells more names apart, not fewer.
        migrations.RunPython(repair_names, migrations.RunPython.noop),
    ]
