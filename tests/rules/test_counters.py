"""Counters in a file that all processes of a machine share."""

import logging
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Self

import pytest

from config.settings import BASE_DIR
from tests.database.servers import wait_until
from tests.processes import run
from tests.races import at_once
from tests.stalls import assert_within, repeated_if_stalled
from users.limits import counters as counting
from users.limits import file_store
from users.limits.counters import Counters
from users.limits.file_store import FileStore

WINDOW = 900  # seconds
# A program that reads lines with a folder, a limit and the number of counts.
COUNTING = """
import sys
from pathlib import Path
import django; django.setup()
from users.limits.file_store import FileStore

print("ready", flush=True)
for line in sys.stdin:
    folder, limit, times = line.split()
    store = FileStore(Path(folder))
    limits = {"a": int(limit)}
    print(sum(not store.count_unless_full(limits, 900) for _ in range(int(times))), flush=True)
    store.close()
"""

FORKING = """
import os
from pathlib import Path
import django; django.setup()
from users.limits.file_store import FileStore

store = FileStore(Path({folder!r}))

def count(times):
    for _ in range(times):
        store.count_unless_full(dict(a=1000), 900)

count(1)
if pid := os.fork():
    os.waitpid(pid, 0)
    count(1)
    print("parent", flush=True)
else:
    count(100)
    print("child", flush=True)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "counters"


@pytest.fixture
def store(folder: Path) -> Iterator[FileStore]:
    store = FileStore(folder)
    yield store
    store.close()


def count(store: FileStore | Counters, key: str = "a", limit: int = 1_000_000) -> bool:
    return not store.count_unless_full({key: limit}, WINDOW)


def number(store: FileStore, key: str = "a") -> int:
    """The value of the counter."""
    return next(n for n in range(10**6) if not store.full({key: n + 1}, WINDOW))


class CountingProcess:
    def __enter__(self) -> Self:
        self.process = subprocess.Popen(  # noqa: S603 -- our own interpreter
            [sys.executable, "-c", COUNTING],
            cwd=BASE_DIR,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._line() == "ready\n"
        return self

    def __exit__(self, *error: object) -> None:
        self.process.communicate()

    def begin(self, folder: Path, limit: int, times: int) -> None:
        assert self.process.stdin
        self.process.stdin.write(f"{folder} {limit} {times}\n")
        self.process.stdin.flush()

    def counted(self) -> int:
        return int(self._line())

    def _line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline()


def test_it_counts_up_to_the_limit_and_then_returns_the_remaining_seconds(store: FileStore) -> None:
    assert [count(store, limit=3) for _ in range(5)] == [True] * 3 + [False] * 2

    (seconds,) = store.full({"a": 3}, WINDOW).values()
    assert WINDOW - 10 < seconds <= WINDOW
    assert store.full({"b": 3}, WINDOW) == {}


def test_several_counters_count_together_or_not_at_all(store: FileStore) -> None:
    assert count(store, "b", limit=1)

    for _ in range(3):
        assert store.count_unless_full({"a": 9, "b": 1, "c": 9}, WINDOW).keys() == {"b"}

    assert (number(store, "a"), number(store, "b"), number(store, "c")) == (0, 1, 0)


def test_full_does_not_count(store: FileStore) -> None:
    for _ in range(3):
        assert store.full({"a": 1}, WINDOW) == {}

    assert number(store) == 0


def test_a_counter_ends_with_its_window(store: FileStore) -> None:
    assert not store.count_unless_full({"a": 1}, 2)
    (seconds,) = store.count_unless_full({"a": 1}, 2).values()

    time.sleep(seconds)

    assert not store.count_unless_full({"a": 1}, 2)


def test_counters_are_deleted_by_name_or_by_pattern(store: FileStore) -> None:
    for key in ("login:1:1", "login:1:2", "login:2:1", "rate:1"):
        count(store, key)

    store.delete("login:1:2")
    store.delete("login:9:9")
    assert number(store, "login:1:2") == 0
    assert store.delete_matching("login:*:1") == 2
    assert store.delete_matching("*") == 1


def test_a_clock_that_was_ahead_locks_no_user_out(store: FileStore, folder: Path) -> None:
    count(store, limit=1)
    with sqlite3.connect(store.path) as connection:
        connection.execute("UPDATE counters SET ends_at = ends_at + 86400")
    connection.close()

    assert count(store, limit=1)
    assert not count(store, limit=1)


@pytest.mark.parametrize("limit", [7, 1_000_000])
def test_threads_count_together(folder: Path, patient_counters: None, limit: int) -> None:
    threads, times = 8, 5
    for round_ in range(30):
        store = FileStore(folder / str(round_))
        store.folder.parent.mkdir(exist_ok=True)

        def count_some(store: FileStore = store) -> int:
            return sum(count(store, limit=limit) for _ in range(times))

        counted = sum(at_once([count_some] * threads))

        assert counted == min(limit, threads * times)
        assert number(store) == counted
        store.close()


def test_processes_that_start_together_count_together(tmp_path: Path) -> None:
    """All of them create the file at the same time."""
    with ExitStack() as stack:
        processes = [stack.enter_context(CountingProcess()) for _ in range(4)]
        for number_ in range(30):
            for process in processes:
                process.begin(tmp_path / str(number_), limit=25, times=10)

            assert sum(process.counted() for process in processes) == 25


def test_a_killed_process_leaves_the_file_usable(store: FileStore, folder: Path) -> None:
    for _ in range(3):
        with CountingProcess() as process:
            process.begin(folder, limit=10**9, times=10**9)
            wait_until(lambda: store.full({"a": 9}, WINDOW) != {}, "it counts")
            process.process.kill()

        there = number(store)
        assert count(store)
        assert number(store) == there + 1
        store.delete("a")


def test_a_forked_process_opens_the_file_again(store: FileStore, folder: Path) -> None:
    forked = run(
        "-c",
        FORKING.format(folder=str(folder)),
        DJANGO_SETTINGS_MODULE="config.settings",
        DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing",
    )

    assert (forked.stdout, forked.stderr) == ("child\nparent\n", "")
    assert number(store) == 102


def test_a_deleted_file_is_created_again(store: FileStore, folder: Path) -> None:
    count(store, limit=1)
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()

    assert count(store, limit=1)
    assert not count(store, limit=1)


def test_a_damaged_file_is_replaced(store: FileStore) -> None:
    count(store)
    store.close()
    store.path.write_bytes(b"no database" * 1000)

    with pytest.raises(sqlite3.DatabaseError, match="not a database"):
        count(store)

    assert count(store)
    assert number(store) == 1


def test_other_system_users_cannot_read_it(store: FileStore, folder: Path) -> None:
    count(store)

    assert folder.stat().st_mode & 0o777 == 0o700


def test_it_refuses_a_folder_that_others_may_write_to(store: FileStore, folder: Path) -> None:
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)

    with pytest.raises(PermissionError, match="not a private folder of this system user"):
        count(store)
    assert not store.path.exists()


def test_it_refuses_a_symbolic_link_in_place_of_the_folder(
    store: FileStore, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    folder.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OSError, match="counters"):
        count(store)
    assert not [*(tmp_path / "elsewhere").iterdir()]


def test_its_size_is_bounded(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_store, "MAX_COUNTERS", 50)
    monkeypatch.setattr(file_store, "TIDY_EVERY", 10)
    count(store, "kept")
    for number_ in range(200):
        store.count_unless_full({f"short {number_}": 9}, 60)

    assert store.delete_matching("short *") == 50
    assert number(store, "kept") == 1
    for number_ in range(30):
        store.count_unless_full({f"over {number_}": 9}, 0.001)
    time.sleep(0.01)
    for _ in range(10):
        count(store, "kept")
    assert store.delete_matching("over *") == 0


def test_if_the_file_fails_nothing_is_limited_and_one_line_is_logged(
    store: FileStore,
    folder: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(counting, "PAUSE", 3)
    counters = Counters(store)
    folder.write_text("This is no folder.")

    with caplog.at_level(logging.INFO):
        assert all(count(counters, limit=1) for _ in range(20))
        counters.delete("a")
        folder.unlink()
        assert all(
            count(counters, limit=1) for _ in range(20)
        )  # the store is not used during the pause
        wait_until(lambda: not count(counters, limit=1), "it is asked again")

    failed, works = (record.getMessage() for record in caplog.records)
    assert failed.startswith("The file with this machine's counters failed: ")
    assert failed.endswith("Nothing is limited until it works.")
    assert works == "The file with this machine's counters works again."


def test_users_can_log_in_with_a_full_disk(
    store: FileStore, caplog: pytest.LogCaptureFixture
) -> None:
    counters = Counters(store)
    count(counters)
    assert store._connection
    store._connection.execute("PRAGMA max_page_count = 3")  # SQLite reports a full disk

    with caplog.at_level(logging.ERROR):
        assert all(count(counters, f"{number}" * 500) for number in range(50))

    (line,) = (record.getMessage() for record in caplog.records)
    assert "database or disk is full" in line


@repeated_if_stalled
def test_threads_wait_a_bounded_time_for_a_file_that_is_locked(store: FileStore) -> None:
    counters = Counters(store)
    count(counters)

    def seconds(_: int) -> float:
        started = time.monotonic()
        assert count(counters, limit=1)
        return time.monotonic() - started

    with blocked(store), ThreadPoolExecutor(16) as threads:
        longest = max(threads.map(seconds, range(64)))
    # A thread may wait for the other threads and for the other process.
    assert_within(longest, 4 * file_store.BUSY_TIMEOUT)


def test_it_limits_at_the_next_call_after_the_file_was_locked(
    store: FileStore, caplog: pytest.LogCaptureFixture
) -> None:
    counters = Counters(store)
    count(counters)

    with caplog.at_level(logging.INFO):
        with blocked(store):
            assert count(counters, limit=1)
        assert not count(counters, limit=1)

    failed, works = (record.getMessage() for record in caplog.records)
    assert failed.endswith("database is locked. Nothing is limited until it works.")
    assert works == "The file with this machine's counters works again."


def test_it_limits_at_the_next_call_after_a_thread_waited_too_long(store: FileStore) -> None:
    counters = Counters(store)
    count(counters)

    with store._locked(), ThreadPoolExecutor(1) as thread:
        assert thread.submit(count, counters, limit=1).result()

    assert not count(counters, limit=1)


@contextmanager
def blocked(store: FileStore) -> Iterator[None]:
    """Another connection holds the write lock."""
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


def test_it_takes_less_than_a_millisecond(store: FileStore) -> None:
    limits = {f"login:{number}": 10**6 for number in range(3)}

    def seconds(ask: Callable[..., object]) -> float:
        times = []
        for _ in range(500):
            started = time.perf_counter()
            ask(limits, WINDOW)
            times.append(time.perf_counter() - started)
        return sorted(times)[250]

    assert seconds(store.count_unless_full) < 0.001
    assert seconds(store.full) < 0.001
