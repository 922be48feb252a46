"""Counters in a SQLite file, shared by all processes of this machine.

SQLite has atomic transactions between processes, also if a process is killed, and needs no server.
The alternatives fail: memory is private to each process, Django's file cache cannot increment
atomically, and a table in PostgreSQL would be rolled back with the transaction of a failed request.
Counting takes about 0.02 ms.
"""

import os
import shutil
import sqlite3
import stat
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from users.limits.keys import hashed

# Seconds to wait for other processes and for other threads. Each holds the file for less than a
# millisecond.
BUSY_TIMEOUT = 0.5
MAX_COUNTERS = 200_000  # 30 MB
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
TIDY_EVERY = 1000  # counts by this process

SCHEMA = """
    CREATE TABLE counters (
        key TEXT PRIMARY KEY, count INTEGER NOT NULL, ends_at REAL NOT NULL
    ) WITHOUT ROWID
"""
SELECT = "SELECT key, count, ends_at FROM counters WHERE key IN ({})"
DELETE_EXPIRED = "DELETE FROM counters WHERE ends_at <= ?"
# Delete the counters that end first: an attacker creates counters with a short window most easily.
DELETE_TOO_MANY = """
    DELETE FROM counters WHERE key IN (
        SELECT key FROM counters ORDER BY ends_at
        LIMIT max(0, (SELECT count(*) FROM counters) - ?)
    )
"""


def default_folder() -> Path:
    """The same folder for all processes of an installation and a system user, so that commands
    find the server's counters. The environment variable TMPDIR can move it."""
    installation = hashed("installation")[:16]
    return Path(tempfile.gettempdir(), f"conduit-limits-{os.geteuid()}-{installation}")


class FileBusy(TimeoutError):
    """The file was locked for BUSY_TIMEOUT by other threads or processes. A retry may succeed."""


class FileStore:
    """See `counters.Store`."""

    name = "The file with this machine's counters"
    errors: tuple[type[Exception], ...] = (OSError, sqlite3.Error)
    _connection: sqlite3.Connection | None
    _inode: int

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or default_folder()
        self.path = self.folder / "counters.sqlite3"
        # After a fork, the child must not close the parent's connections, so it keeps them here.
        self._inherited: list[sqlite3.Connection | None] = []
        self._begin()
        os.register_at_fork(after_in_child=self._after_fork)

    def full(self, limits: Mapping[str, int], seconds: float) -> dict[str, float]:
        with self._transaction("DEFERRED") as connection:
            now, counters = _read(connection, limits, seconds)
        return _full(counters, limits, now)

    def count_unless_full(self, limits: Mapping[str, int], seconds: float) -> dict[str, float]:
        with self._transaction("IMMEDIATE") as connection:
            now, counters = _read(connection, limits, seconds)
            full = _full(counters, limits, now)
            if not full:
                found = ((key, *counters.get(key, (0, now + seconds))) for key in limits)
                connection.executemany(
                    "INSERT OR REPLACE INTO counters VALUES (?, ? + 1, ?)", found
                )
                self._tidy(connection, now)
        return full

    def location(self) -> str:
        return f"{self.path}" if _inode(self.path) else f"{self.path} (this file does not exist)"

    def delete(self, key: str) -> None:
        with self._transaction("IMMEDIATE") as connection:
            connection.execute("DELETE FROM counters WHERE key = ?", [key])

    def delete_matching(self, pattern: str) -> int:
        if not _inode(self.path):
            return 0
        with self._transaction("IMMEDIATE") as connection:
            return connection.execute("DELETE FROM counters WHERE key GLOB ?", [pattern]).rowcount

    def _tidy(self, connection: sqlite3.Connection, now: float) -> None:
        self._counts += 1
        if self._counts % TIDY_EVERY == 0:
            connection.execute(DELETE_EXPIRED, [now])
            connection.execute(DELETE_TOO_MANY, [MAX_COUNTERS])

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Lets one thread in at a time. Raises FileBusy, for example if a disk hangs."""
        if not self._lock.acquire(timeout=BUSY_TIMEOUT):
            raise FileBusy(f"Another thread has used {self.path} for too long")
        try:
            yield
        finally:
            self._lock.release()

    @contextmanager
    def _transaction(self, kind: str) -> Iterator[sqlite3.Connection]:
        with self._locked():
            try:
                connection = self._opened()
                connection.execute(f"BEGIN {kind}")
                with connection:  # commits, or rolls back
                    yield connection
            except sqlite3.DatabaseError as error:
                code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without the extended code
                if code == sqlite3.SQLITE_BUSY:
                    raise FileBusy(str(error)) from error
                # Delete a damaged file; the next call creates a new one. Otherwise every call
                # would fail, and nothing would be limited.
                if code in DAMAGED:
                    self.close()
                    shutil.rmtree(self.folder, ignore_errors=True)
                raise

    def _opened(self) -> sqlite3.Connection:
        """The open connection, or a new one if the file was deleted or replaced."""
        if self._connection and self._inode == _inode(self.path):
            return self._connection
        self.close()
        self._make_folder()
        if not self.path.exists():
            self._make_file()
        self._inode = _inode(self.path)
        self._connection = sqlite3.connect(
            self.path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False
        )
        # Commits do not wait for the disk. A crash of the machine may lose the last counts.
        self._connection.execute("PRAGMA synchronous = NORMAL")
        return self._connection

    def _make_folder(self) -> None:
        """Raises OSError if another system user owns the folder or can use it. Any user of the
        machine could create a folder of this name first."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        found = self.folder.lstat()
        is_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
        if not is_ours or found.st_mode & 0o077:
            raise PermissionError(f"{self.folder} is not a private folder of this system user")

    def _make_file(self) -> None:
        """Creates a complete file, then gives it its name: if two processes switch one file to WAL
        at the same time, one of them fails. In WAL mode, readers and the writer do not wait for
        each other. The file stores its mode."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            new = Path(folder, self.path.name)
            with closing(sqlite3.connect(new)) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute(SCHEMA)
            with suppress(FileExistsError):  # another process has created it
                os.link(new, self.path)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._connection = None
        self._inode = 0
        self._counts = 0

    def close(self) -> None:
        if self._connection:
            with closing(self._connection):
                self._connection = None

    def _after_fork(self) -> None:
        self._inherited.append(self._connection)
        self._begin()


def _read(
    connection: sqlite3.Connection, keys: Iterable[str], seconds: float
) -> tuple[float, dict[str, tuple[int, float]]]:
    """The time now, and the count and the end of each counter that has not ended."""
    names = [*keys]
    rows = connection.execute(SELECT.format(", ".join("?" * len(names))), names).fetchall()
    # Taken after the query, which may have waited for other processes.
    now = time.time()
    return now, {
        key: (number, ends_at)
        for key, number, ends_at in rows
        # A counter that ends too late was created before the clock was set back: ignore it.
        if now < ends_at <= now + seconds
    }


def _full(
    counters: Mapping[str, tuple[int, float]], limits: Mapping[str, int], now: float
) -> dict[str, float]:
    return {
        key: ends_at - now for key, (number, ends_at) in counters.items() if number >= limits[key]
    }


def _inode(path: Path) -> int:
    """0 if there is no file."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return 0
