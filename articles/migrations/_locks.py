"""How a migration takes tables that are in use."""

from django.db import migrations

ALL = ("articles_article", "articles_tagging", "articles_favorite")
WRITERS = "SHARE ROW EXCLUSIVE"  # keeps out whoever writes; readers don't notice
EVERYBODY = "ACCESS EXCLUSIVE"

# All tables or none: whoever has one of them and waits for another would wait for the migration,
# and it for them. And whoever comes waits behind a migration that waits. So it gives up soon, and
# tries again once they are through. Not before a second has gone by (deadlock_timeout): then
# PostgreSQL ends an autovacuum that is in the way.
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
    """Take the tables until the end of the migration, forwards as its first operation, backwards
    as its last. No statement of the migration is too slow for the time-out then."""

    def sql(mode: str | None) -> str:
        return LOCK.format(tables=", ".join(tables), mode=mode) if mode else ""

    return migrations.RunSQL(sql(forwards), sql(backwards))
