"""Twice as many clients log in as the server has threads, while another client reads."""

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
# Each login has another address in X-Forwarded-For, which only a trusted proxy may set.
PROXY = {"TRUSTED_PROXIES": "1"}


def question(path: str, **user: str) -> Question:
    return Question("POST", path, json.dumps({"user": user}).encode(), JSON)


def log_ins(number: int) -> Iterator[Question]:
    """The logins of one client: of a user or of unknown users, each from another address."""
    for attempt in itertools.count():
        email = "alice@example.com" if number % 2 else f"nobody{number}.{attempt}@example.com"
        asked = question("/api/users/login", email=email, password=PASSWORD)
        address = f"2001:db8:{number:x}:{attempt:x}::1"
        yield asked._replace(headers=JSON | {"X-Forwarded-For": address})


@contextmanager
def crowd(port: int) -> Iterator[dict[int, list[Reply]]]:
    """Run clients that log in repeatedly and wait for Retry-After; yield the replies by status."""
    replies: dict[int, list[Reply]] = defaultdict(list)
    stopped = threading.Event()

    def log_in_repeatedly(number: int) -> None:
        client = Client(port)
        for log_in in log_ins(number):
            if stopped.is_set():
                break
            reply = client.ask(log_in)
            replies[reply.status].append(reply)
            stopped.wait(float(reply.headers.get("retry-after", 0)))
        client.close()

    threads = [
        threading.Thread(target=log_in_repeatedly, args=[number]) for number in range(CLIENTS)
    ]
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


def test_reads_do_not_wait_for_logins(figures: Callable[[str], None]) -> None:
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
            time.sleep(0.5)  # until all clients have started
            with load(site.port, 1, reading("/api/tags")) as during:
                time.sleep(SECONDS)

    hashed = replies[200] + replies[401]
    figures(
        f"tags in {seconds(during) * 1000:.1f} ms, {seconds(alone) * 1000:.1f} without"
        f" logins; {len(hashed) / (SECONDS + 0.5):.0f} logins/s in {seconds(hashed):.2f} s,"
        f" {len(replies[429])} refused in {seconds(replies[429]) * 1000:.1f} ms"
    )
    assert not failures(during)
    assert replies.keys() == {200, 401, 429}
    # A login that is hashed waits for a dozen others; reads and refusals wait for fewer than two.
    assert seconds(during) < seconds(hashed) / 5
    assert seconds(replies[429]) < seconds(hashed) / 5
