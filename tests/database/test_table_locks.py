import time
from concurrent.futures import ThreadPoolExecutor

from database.table_locks import ACCESS_EXCLUSIVE, lock
from tests.database.servers import migrated, wait_until
from tests.stalls import assert_within, repeated_if_stalled

DEADLOCK_TIMEOUT = 1  # seconds, PostgreSQL's default
HELD = "SELECT 1 FROM pg_locks WHERE relation = 'a'::regclass AND granted = %s"


@repeated_if_stalled
def test_a_lock_of_several_tables_ends_no_transaction_that_uses_them() -> None:
    locking = lock("a", "b", "c", forwards=ACCESS_EXCLUSIVE).sql
    with (
        # If the machine is stalled, PostgreSQL must not find the deadlock before it has ended.
        migrated(deadlock_timeout="10s") as server,
        server.session() as migration,
        server.session() as other,
        server.session() as writer,
        ThreadPoolExecutor(2) as threads,
    ):
        server.execute("CREATE TABLE a (); CREATE TABLE b (); CREATE TABLE c ()")
        other.execute("BEGIN; LOCK TABLE b IN ROW EXCLUSIVE MODE")
        writer.execute("BEGIN; LOCK TABLE c IN ROW EXCLUSIVE MODE")
        locked = threads.submit(migration.execute, f"BEGIN; {locking}".encode())
        wait_until(lambda: bool(server.execute(HELD % "true")), "the migration has locked a table")
        # The writer waits for the migration, and then the migration for the writer.
        read = threads.submit(writer.execute, "SELECT FROM a")
        waits = wait_until(lambda: bool(server.execute(HELD % "false")), "the writer waits")
        other.execute("COMMIT")

        read.result()
        seconds = time.monotonic() - waits
        writer.execute("COMMIT")
        locked.result()
        migration.execute("COMMIT")
    assert_within(seconds, DEADLOCK_TIMEOUT)
