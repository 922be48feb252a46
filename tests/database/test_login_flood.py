"""Twice as many people log in as the server has threads, and somebody reads."""

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
RATE = {"LOGIN_RATE": "1000000/minute"}  # all of them come from one address


def question(path: str, **user: str) -> Question:
    return Question("POST", path, json.dumps({"user": user}).encode(), JSON)


LOG_INS = [
    question("/api/users/login", email=email, password=PASSWORD)
    for email in ("alice@example.com", "nobody@example.com")
]


@contextmanager
def crowd(port: int) -> Iterator[dict[int, list[Reply]]]:
    """Clients that log in again and again, and come back when they are told to, by status."""
    replies: dict[int, list[Reply]] = defaultdict(list)
    stopped = threading.Event()

    def log_in(number: int) -> None:
        client = Client(port)
        while not stopped.is_set():
            reply = client.ask(LOG_INS[number % 2])
            replies[reply.status].append(reply)
            stopped.wait(float(reply.headers.get("retry-after", 0)))
        client.close()

    threads = [threading.Thread(target=log_in, args=[number]) for number in range(CLIENTS)]
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
        application.serving(server.url(), RATE, workers=WORKERS, threads=THREADS) as site,
    ):
        client = Client(site.port)
        user = {"username": "alice", "email": "alice@example.com", "password": PASSWORD}
        assert client.ask(question("/api/users", **user)).status == 201
        client.close()
        with load(site.port, 1, reading("/api/tags")) as alone:
            time.sleep(1)
        with crowd(site.port) as log_ins:
            time.sleep(0.5)  # until they are all there
            with load(site.port, 1, reading("/api/tags")) as among_them:
                time.sleep(SECONDS)

    let_in = log_ins[200] + log_ins[401]
    figures(
        f"tags in {seconds(among_them) * 1000:.1f} ms, {seconds(alone) * 1000:.1f} without"
        f" log-ins; {len(let_in) / (SECONDS + 0.5):.0f} log-ins/s in {seconds(let_in):.2f} s,"
        f" {len(log_ins[429])} refused in {seconds(log_ins[429]) * 1000:.1f} ms"
    )
    assert not failures(among_them)
    assert log_ins.keys() == {200, 401, 429}
    # Whoever hashes waits for a dozen others; nobody else waits for even two of them.
    assert seconds(among_them) < seconds(let_in) / 5
    assert seconds(log_ins[429]) < seconds(let_in) / 5
