"""Table locks for migrations of a database that is in use."""

from django.db import migrations

WRITERS = "SHARE ROW EXCLUSIVE"  # blocks writers; readers go on
EVERYBODY = "ACCESS EXCLUSIVE"  # blocks readers too

# All tables are locked, or none. Holding one table and waiting for another would deadlock with a
# transaction that uses both. Sessions that arrive queue behind a waiting LOCK, so it gives up after
# 1.2 s, lets them pass and tries again. Not earlier: after 1 s (deadlock_timeout) PostgreSQL
# cancels an autovacuum that is in the way.
LOCK = """
SET LOCAL statement_timeout = 0;
DO $$
DECLARE
    usual text := current_setting('lock_timeout');
BEGIN
    FOR attempt IN 1..60 LOOP
        BEGIN
            SET LOCAL lock_timeout = '1200ms';
            LOCK TABLE {tables} IN {mode} MODE;
            PERFORM set_config('lock_timeout', usual, true);
            RETURN;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            PERFORM pg_sleep(2);
        END;
    END LOOP;
    RAISE lock_not_available USING
        MESSAGE = 'For three minutes there were transactions that use {tables} for long.',
        HINT = 'Nothing is changed. End them (pg_stat_activity), and migrate again.';
END $$;
"""


def lock(
    *tables: str, forwards: str | None = None, backwards: str | None = None
) -> migrations.RunSQL:
    """Lock the tables until the migration ends, and lift its statement timeout.

    It stands first in a migration for `forwards`, last for `backwards`.
    """

    def sql(mode: str | None) -> str:
        return LOCK.format(tables=", ".join(tables), mode=mode) if mode else ""

    return migrations.RunSQL(sql(forwards), sql(backwards))
