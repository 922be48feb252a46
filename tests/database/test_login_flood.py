"""Twice as many people log in as the server has threads, and somebody reads."""

import itertools
import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median

import pytest

from tests.builders import PASSWORD
from tests.database import application
from tests.database.load import Client, Question, Reply, failures, load, reading
from tests.database.servers import migrated

pytestmark = pytest.mark.faults

WORKERS, THREADS = 2, 16
CLIENTS = 2 * WORKERS * THREADS
SECONDS = 3
JSON = {"Content-Type": "application/json"}
# Each log-in comes from an address of its own, which a proxy would have seen.
PROXY = {"TRUSTED_PROXIES": "1"}


def question(path: str, **user: str) -> Question:
    return Question("POST", path, json.dumps({"user": user}).encode(), JSON)


def log_ins(number: int) -> Iterator[Question]:
    """Those of one client: a user, or people who don't exist, each from another address."""
    for attempt in itertools.count():
        email = "alice@example.com" if number % 2 else f"nobody{number}.{attempt}@example.com"
        asked = question("/api/users/login", email=email, password=PASSWORD)
        address = f"2001:db8:{number:x}:{attempt:x}::1"
        yield asked._replace(headers=JSON | {"X-Forwarded-For": address})


@contextmanager
def crowd(port: int) -> Iterator[dict[int, list[Reply]]]:
    """Clients that log in again and again, and come back when they are told to, by status."""
    replies: dict[int, list[Reply]] = defaultdict(list)
    stopped = threading.Event()

    def come_again(number: int) -> None:
        client = Client(port)
        for log_in in log_ins(number):
            if stopped.is_set():
                break
            reply = client.ask(log_in)
            replies[reply.status].append(reply)
            stopped.wait(float(reply.headers.get("retry-after", 0)))
        client.close()

    threads = [threading.Thread(target=come_again, args=[number]) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield replies
    finally:
        stopped.set()
        for thread in threads:
            thread.join()


def seconds(replies: list[Reply]) -> float:
    return median(reply.seconds for reply in replies)


def test_readers_do_not_wait_behind_them(figures: Callable[[str], None]) -> None:
    with (
        migrated() as server,
        application.serving(server.url(), PROXY, workers=WORKERS, threads=THREADS) as site,
    ):
        client = Client(site.port)
        user = {"username": "alice", "email": "alice@example.com", "password": PASSWORD}
        assert client.ask(question("/api/users", **user)).status == 201
        client.close()
        with load(site.port, 1, reading("/api/tags")) as alone:
            time.sleep(1)
        with crowd(site.port) as replies:
            time.sleep(0.5)  # until they are all there
            with load(site.port, 1, reading("/api/tags")) as among_them:
                time.sleep(SECONDS)

    let_in = replies[200] + replies[401]
    figures(
        f"tags in {seconds(among_them) * 1000:.1f} ms, {seconds(alone) * 1000:.1f} without"
        f" log-ins; {len(let_in) / (SECONDS + 0.5):.0f} log-ins/s in {seconds(let_in):.2f} s,"
        f" {len(replies[429])} refused in {seconds(replies[429]) * 1000:.1f} ms"
    )
    assert not failures(among_them)
    assert replies.keys() == {200, 401, 429}
    # Whoever hashes waits for a dozen others; nobody else waits for even two of them.
    assert seconds(among_them) < seconds(let_in) / 5
    assert seconds(replies[429]) < seconds(let_in) / 5
