"""Failed logins are counted by all workers of a machine, and through Redis by all machines."""

import json
import logging
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Barrier

import pytest
from redis import Redis

from tests.builders import PASSWORD
from tests.database.application import Application, serving
from tests.database.load import Client, Question, Reply
from tests.database.redis_server import RedisServer
from tests.database.servers import wait_until
from tests.processes import database_url, run
from users.limits import counters as counting
from users.limits.counters import Counters, StoreFailed
from users.limits.file_store import FileStore
from users.limits.redis_store import RedisStore
from users.models import User

EMAIL = "alice@example.com"

pytestmark = pytest.mark.django_db(transaction=True)


def log_in(site: Application, password: str) -> Reply:
    body = json.dumps({"user": {"email": EMAIL, "password": password}}).encode()
    client = Client(site.port)
    try:
        return client.ask(
            Question("POST", "/api/users/login", body, {"Content-Type": "application/json"})
        )
    finally:
        client.close()


def statuses(site: Application, number: int) -> list[int]:
    return [log_in(site, "wrong horse").status for _ in range(number)]


def test_all_workers_of_the_machine_count_together(alice: User) -> None:
    url = database_url()
    with serving(url, workers=2) as site:
        assert statuses(site, 12) == [401] * 12
        killed = site.workers()[0]
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: len({*site.workers()} - {killed}) == 2, "the worker is replaced")
        wait_until(site.is_up, "the server answers")
        assert statuses(site, 8) == [401] * 8

        assert statuses(site, 8) == [429] * 8
        assert log_in(site, PASSWORD).status == 429

        unlocked = run("manage.py", "unlock", "--account", EMAIL.upper(), DATABASE_URL=url)
        assert unlocked.stdout == "The account ALICE@EXAMPLE.COM is unlocked.\n"
        assert log_in(site, PASSWORD).status == 200


@pytest.fixture
def machines(redis: RedisServer, tmp_path: Path) -> Iterator[list[Counters]]:
    """Two machines, which share only Redis."""
    with ExitStack() as stack:
        stores = [FileStore(tmp_path / name) for name in ("one", "two")]
        for store in stores:
            stack.callback(store.close)
        yield [Counters(store, RedisStore(redis.url)) for store in stores]


def count(counters: Counters, limit: int, key: str = "a") -> bool:
    return not counters.count_unless_full({key: limit}, 900)


@pytest.mark.redis
def test_two_machines_count_together(machines: list[Counters]) -> None:
    one, two = machines

    assert [count(one, 5) for _ in range(3)] == [True] * 3
    assert [count(two, 5) for _ in range(3)] == [True, True, False]
    assert one.count_unless_full({"a": 5, "b": 9}, 900).keys() == {"a"}
    assert one.full({"b": 1}, 900) == {}
    assert 890 < two.count_unless_full({"a": 5}, 900)["a"] <= 900

    one.delete("a")
    assert count(two, 1)
    for key in ("login:1:2", "login:1:3", "login:2:2"):
        count(one, 9, key)
    assert two.delete_matching("login:1:*") == 2
    assert two.delete_matching("*") == 2


@pytest.mark.redis
def test_a_counter_in_redis_ends_with_its_window(machines: list[Counters]) -> None:
    one, two = machines
    assert not one.count_unless_full({"a": 1}, 0.5)
    (seconds,) = two.count_unless_full({"a": 1}, 0.5).values()
    assert 0 < seconds <= 0.5

    wait_until(lambda: not two.count_unless_full({"a": 1}, 0.5), "the counter ends", 5)


@pytest.mark.redis
def test_threads_of_two_machines_count_together(machines: list[Counters]) -> None:
    for number in range(30):
        barrier = Barrier(10)

        def run(counters: Counters, key: str, barrier: Barrier = barrier) -> int:
            barrier.wait(30)
            return sum(count(counters, 7, key) for _ in range(3))

        with ThreadPoolExecutor(10) as threads:
            counted = threads.map(run, machines * 5, [str(number)] * 10)

        assert sum(counted) == 7


@pytest.mark.redis
@pytest.mark.parametrize("fault", ["stopped", "frozen"])
def test_each_machine_counts_alone_while_redis_is_down(
    redis: RedisServer,
    machines: list[Counters],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
) -> None:
    monkeypatch.setattr(counting, "PAUSE", 0.5)
    one, two = machines
    assert count(one, 3)
    with caplog.at_level(logging.INFO):
        redis.stop() if fault == "stopped" else redis.process.send_signal(signal.SIGSTOP)

        started = time.monotonic()
        assert [count(one, 3) for _ in range(5)] == [True] * 3 + [False] * 2
        assert time.monotonic() - started < 3
        with pytest.raises(StoreFailed, match="Redis"):
            one.delete_matching("a")
        assert count(one, 3)  # the counter of the machine was deleted

        redis.start() if fault == "stopped" else redis.process.send_signal(signal.SIGCONT)
        wait_until(
            lambda: count(one, 9, "b") and "works again" in caplog.text, "Redis is used again"
        )
        assert count(one, 1, "c")
        assert not count(two, 1, "c")

    failed, works = (record.getMessage() for record in caplog.records)
    assert failed.startswith("Redis (CACHE_URL) failed: ")
    assert failed.endswith("Each machine counts for itself until it works.")
    assert works == "Redis (CACHE_URL) works again."


@pytest.mark.redis
def test_unlock_names_the_redis_and_the_file_that_it_searched(
    redis: RedisServer, tmp_path: Path
) -> None:
    url = redis.url.replace("//", "//:hidden@")
    with Redis.from_url(redis.url) as client:
        client.config_set("requirepass", "hidden")
    unlocked = run(
        "manage.py",
        "unlock",
        "--account=a@b.c",
        DATABASE_URL=database_url(),
        CACHE_URL=url,
        TMPDIR=str(tmp_path),
    )
    assert unlocked.stderr == ""

    begin, _, end = unlocked.stdout.partition(str(tmp_path))
    assert begin == (
        f"The account a@b.c has no failed logins in Redis at 127.0.0.1:{redis.port}/0 or in "
    )
    assert end.endswith("/counters.sqlite3 (this file does not exist).\n")


@pytest.mark.redis
def test_servers_on_two_machines_share_failed_logins(
    alice: User, redis: RedisServer, tmp_path: Path
) -> None:
    url = database_url()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    one, two = ({"CACHE_URL": redis.url, "TMPDIR": str(tmp_path / name)} for name in ("one", "two"))
    with serving(url, one) as first, serving(url, two) as second:
        assert statuses(first, 12) == [401] * 12
        assert statuses(second, 10) == [401] * 8 + [429] * 2
        assert log_in(first, PASSWORD).status == 429

        redis.stop()
        assert statuses(first, 22) == [401] * 20 + [429] * 2
        assert first.said().count("Redis (CACHE_URL) failed") == 1

    keys = b"".join(file.read_bytes() for file in tmp_path.glob("*/conduit-limits-*/*"))
    assert b"login:" in keys
    assert b"alice" not in keys
    assert b"127.0.0.1" not in keys
