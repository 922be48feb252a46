from concurrent.futures import ThreadPoolExecutor

from database.table_locks import ACCESS_EXCLUSIVE, lock
from tests.database.servers import migrated, wait_until

HELD = "SELECT 1 FROM pg_locks WHERE relation = 'a'::regclass AND granted = %s"


def test_a_lock_of_several_tables_ends_no_transaction_that_uses_them() -> None:
    locking = lock("a", "b", "c", forwards=ACCESS_EXCLUSIVE).sql
    with (
        migrated() as server,
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
        wait_until(lambda: bool(server.execute(HELD % "false")), "the writer waits")
        other.execute("COMMIT")

        read.result()
        writer.execute("COMMIT")
        locked.result()
        migration.execute("COMMIT")
