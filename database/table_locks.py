"""Table locks for migrations of a database that is in use."""

from typing import Any

from django.db import migrations

SHARE_ROW_EXCLUSIVE = "SHARE ROW EXCLUSIVE"  # blocks writers only
ACCESS_EXCLUSIVE = "ACCESS EXCLUSIVE"  # blocks readers and writers

# A failed attempt releases every table: this transaction would deadlock with another that uses both
# tables if it held one and waited for the other. New sessions queue behind a waiting LOCK, so it
# gives up and tries again 2 s later. While it holds a table, it waits for less than 1 s
# (deadlock_timeout): otherwise PostgreSQL may end the other transaction. For the first table of an
# attempt it waits longer, because PostgreSQL then cancels an autovacuum that blocks the lock. Each
# attempt begins with another table.
LOCK = """
SET LOCAL statement_timeout = 0;
DO $$
DECLARE
    previous text := current_setting('lock_timeout');
    tables text[] := '{{{tables}}}';
    name text;
BEGIN
    FOR attempt IN 1..60 LOOP
        BEGIN
            PERFORM set_config('lock_timeout', '1200ms', true);
            FOREACH name IN ARRAY tables LOOP
                EXECUTE format('LOCK TABLE %I IN {mode} MODE', name);
                PERFORM set_config('lock_timeout', '300ms', true);
            END LOOP;
            PERFORM set_config('lock_timeout', previous, true);
            RETURN;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            PERFORM pg_sleep(2);
            tables := tables[2:] || tables[1];
        END;
    END LOOP;
    RAISE lock_not_available USING
        MESSAGE = 'Long transactions blocked the lock of {tables} for three minutes.',
        HINT = 'Nothing was changed. End them (see pg_stat_activity), and migrate again.';
END $$;
"""


class LockTables(migrations.RunSQL):
    """Does nothing in a database other than PostgreSQL, for a project that has one beside it."""

    def database_forwards(self, app_label: str, schema_editor: Any, *states: Any) -> None:
        if schema_editor.connection.vendor == "postgresql":
            super().database_forwards(app_label, schema_editor, *states)

    def database_backwards(self, app_label: str, schema_editor: Any, *states: Any) -> None:
        if schema_editor.connection.vendor == "postgresql":
            super().database_backwards(app_label, schema_editor, *states)


def lock(*tables: str, forwards: str | None = None, backwards: str | None = None) -> LockTables:
    """Lock the tables until the migration ends, and lift its statement timeout.

    It is the first operation of a migration with `forwards`, the last one with `backwards`.
    """

    def sql(mode: str | None) -> str:
        return LOCK.format(tables=", ".join(tables), mode=mode) if mode else ""

    return LockTables(sql(forwards), sql(backwards))
