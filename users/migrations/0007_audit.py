"""The audit log, an append-only table, and the permission to suspend users."""

import django.db.models.functions.datetime
from django.db import migrations, models

# An update that changes nothing passes: `loaddata` writes rows that exist already, with their times
# in milliseconds. Row triggers, because `loaddata` also tries to update rows that do not exist.
REFUSE = """
CREATE FUNCTION refuse_change_of_audit_entry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF date_trunc('milliseconds', NEW.at) = date_trunc('milliseconds', OLD.at) THEN
            NEW.at := OLD.at;
        END IF;
        IF NEW IS NOT DISTINCT FROM OLD THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE restrict_violation
        USING MESSAGE = 'Entries of the audit log cannot be changed or deleted.';
END $$;
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON users_auditentry
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_audit_entry();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON users_auditentry
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_audit_entry();
"""
DROP = "DROP FUNCTION refuse_change_of_audit_entry() CASCADE"


class Migration(migrations.Migration):
    dependencies = [("users", "0006_hidden_users_index")]

    operations = [
        migrations.AlterModelOptions(
            "user",
            {
                "permissions": [
                    ("suspend_user", "Can suspend and restore users, and log them out everywhere")
                ]
            },
        ),
        migrations.CreateModel(
            name="AuditEntry",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(),
                        editable=False,
                        verbose_name="time",
                    ),
                ),
                ("actor_id", models.BigIntegerField(editable=False)),
                (
                    "actor_name",
                    models.CharField(
                        db_collation="C", editable=False, max_length=255, verbose_name="editor"
                    ),
                ),
                (
                    "action",
                    models.CharField(
                        choices=[
                            ("add", "Added"),
                            ("change", "Changed"),
                            ("delete", "Deleted"),
                            ("hide", "Hidden"),
                            ("restore", "Restored"),
                            ("suspend", "Suspended"),
                            ("log_out", "Logged out everywhere"),
                            ("merge", "Merged"),
                            ("rename", "Renamed"),
                        ],
                        editable=False,
                        max_length=20,
                    ),
                ),
                ("model", models.CharField(editable=False, max_length=100, verbose_name="kind")),
                ("object_id", models.CharField(blank=True, editable=False, max_length=64)),
                (
                    "object_name",
                    models.CharField(
                        blank=True, editable=False, max_length=255, verbose_name="object"
                    ),
                ),
                ("reason", models.TextField(blank=True, editable=False)),
                ("details", models.TextField(blank=True, editable=False)),
            ],
            options={
                "verbose_name_plural": "audit entries",
                "default_permissions": ("view",),
                "indexes": [
                    models.Index(fields=["-at", "-id"], name="newest_audit_entries"),
                    models.Index(
                        fields=["actor_name", "-at", "-id"], name="audit_entries_of_actor"
                    ),
                    models.Index(fields=["action", "-at", "-id"], name="audit_entries_of_action"),
                    models.Index(
                        fields=["model", "object_id", "-at", "-id"], name="audit_entries_of_row"
                    ),
                ],
            },
        ),
        migrations.RunSQL(REFUSE, DROP),
    ]
