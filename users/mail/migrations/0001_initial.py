"""The queue of e-mails, and a trigger that queues the notices about changes of users.

A trigger, because passwords and e-mails are changed by the API, the site, the admin, commands and
plain SQL, and because only the database knows the old e-mail for certain.
"""

import django.db.models.functions.datetime
from django.db import migrations, models

from database.table_locks import ACCESS_EXCLUSIVE, SHARE_ROW_EXCLUSIVE, lock

# A login that renews the hash of a password does not change the generation (users.revocation).
CREATE = """
CREATE FUNCTION queue_notice_of_user() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    password_changed boolean :=
        NEW.password <> OLD.password AND NEW.token_generation <> OLD.token_generation;
BEGIN
    INSERT INTO mail_outgoingemail (kind, address, user_id) VALUES (
        CASE
            WHEN NEW.email = OLD.email THEN 'password_changed'
            WHEN password_changed THEN 'email_and_password_changed'
            ELSE 'email_changed'
        END,
        OLD.email,
        OLD.id
    );
    RETURN NULL;
END $$;
CREATE TRIGGER queue_notice AFTER UPDATE OF email, password ON users_user FOR EACH ROW
    WHEN (
        NEW.email <> OLD.email
        OR (NEW.password <> OLD.password AND NEW.token_generation <> OLD.token_generation)
    )
    EXECUTE FUNCTION queue_notice_of_user();
"""
DROP = "DROP FUNCTION queue_notice_of_user() CASCADE"


class Migration(migrations.Migration):
    dependencies = [("users", "0010_superusers_index")]

    operations = [
        lock("users_user", forwards=SHARE_ROW_EXCLUSIVE),
        migrations.CreateModel(
            name="OutgoingEmail",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "requested_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("password_reset", "Set a new password for Conduit"),
                            (
                                "password_changed",
                                "The password of your Conduit account was changed",
                            ),
                            ("email_changed", "The e-mail of your Conduit account was changed"),
                            (
                                "email_and_password_changed",
                                "The e-mail and the password of your Conduit account were changed",
                            ),
                            ("account_deleted", "Your Conduit account was deleted"),
                        ],
                        max_length=30,
                    ),
                ),
                ("address", models.CharField(max_length=254)),
                ("user_id", models.BigIntegerField(null=True)),
                ("site_url", models.CharField(blank=True, db_default="", max_length=300)),
                ("attempts", models.IntegerField(db_default=0, default=0)),
                (
                    "due_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), db_index=True
                    ),
                ),
            ],
            options={"default_permissions": ()},
        ),
        migrations.RunSQL(CREATE, DROP),
        lock("users_user", backwards=ACCESS_EXCLUSIVE),
    ]
