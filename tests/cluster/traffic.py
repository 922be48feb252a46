"""Readers and writers of a site: which answers failed, were stale, or lost what was acknowledged.

Each writer sends numbered comments to an article of its own. A number is *acknowledged* once the
answer 201 has come. Every GET that begins later, by any reader and with or without a token, must
show this number or a higher one; a GET that does not is a *stale read*.
"""

import itertools
import json
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg

from tests.builders import PASSWORD
from tests.database.load import Client, Question, Reply, failures, slowest
from tests.database.servers import wait_until
from tests.stalls import assert_within

READERS, WRITERS, MAX_WRITERS = 16, 4, 24
# Seconds between two requests of a client. With shorter pauses, the processor of a small machine
# would be the bottleneck, and all figures would be about it.
READERS_PAUSE, WRITERS_PAUSE = 0.08, 0.04
ATTEMPTS = 5  # of a write with an idempotency key

NUMBER = re.compile(rb"number (\d+)")
# The newest comments as JSON, three times as often as the other pages, and as HTML.
CHECKED = ("/api/articles/{slug}/comments?limit=3",) * 3 + ("/article/{slug}",)
UNCHECKED = ("/api/articles?limit=5", "/api/articles/{slug}", "/api/tags", "/api/profiles/author")


@dataclass
class Thread:
    """The article that one writer comments on."""

    slug: str
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    acknowledged: int = 0  # the highest number
    has_keys: bool = False
    """Whether the writer sends idempotency keys, and sends a write again that failed."""


@dataclass
class Account:
    """A user and the articles that it has written."""

    headers: dict[str, str]
    threads: list[Thread]


def sign_up(port: int) -> Account:
    """Register a user through the API, and let it write an article for each writer."""
    client = Client(port)

    def post(path: str, body: dict[str, Any], headers: dict[str, str]) -> Any:
        reply = client.ask(_post(path, body, headers))
        assert reply.status == 201, reply
        return reply.json()

    user = {"username": "author", "email": "author@example.com", "password": PASSWORD}
    token = post("/api/users", {"user": user}, {})["user"]["token"]
    headers = {"Authorization": f"Token {token}"}
    threads = []
    for number in range(MAX_WRITERS):
        article = {"title": f"Article {number}", "description": "About", "body": "Text"}
        slug = post("/api/articles", {"article": article}, headers)["article"]["slug"]
        threads.append(Thread(slug))
    client.close()
    return Account(headers, threads)


def _post(path: str, body: dict[str, Any], headers: dict[str, str]) -> Question:
    json_headers = headers | {"Content-Type": "application/json"}
    return Question("POST", path, json.dumps(body).encode(), json_headers)


class Traffic:
    """What the readers and writers have seen. The lists grow while they run."""

    def __init__(self, account: Account, writers: int) -> None:
        self._account = account
        self._threads = account.threads[:writers]
        self.reads: list[Reply] = []
        self.writes: list[Reply] = []
        self.stale: list[str] = []
        self._acknowledged: Counter[tuple[str, int]] = Counter()
        self._moments = [time.monotonic()]  # of the acknowledgements

    def read(self, client: Client) -> None:
        thread = random.choice(self._threads)  # noqa: S311 -- no secret
        headers = random.choice(({}, self._account.headers))  # noqa: S311
        checked = random.random() < 0.6  # noqa: S311
        path = random.choice(CHECKED if checked else UNCHECKED)  # noqa: S311
        needed = thread.acknowledged  # before the GET begins
        reply = client.ask(Question("GET", path.format(slug=thread.slug), headers=headers))
        self.reads.append(reply)
        if checked and reply.succeeded:
            shown = max(map(int, NUMBER.findall(reply.content)), default=0)
            if shown < needed:
                self.stale.append(f"{reply} shows {shown}, and {needed} was acknowledged before")

    def write(self, client: Client, thread: Thread) -> None:
        number = next(thread.numbers)
        path = f"/api/articles/{thread.slug}/comments"
        body = {"comment": {"body": f"number {number}"}}
        key = {"Idempotency-Key": str(number)} if thread.has_keys else {}
        for _ in range(ATTEMPTS if thread.has_keys else 1):
            reply = client.ask(_post(path, body, self._account.headers | key))
            self.writes.append(reply)
            if reply.status == 201:
                thread.acknowledged = number
                self._acknowledged[thread.slug, number] += 1
                self._moments.append(time.monotonic())
                break

    def wait_for_writes(self, seconds: float, number: int = 20) -> float:
        """Wait until so many more writes are acknowledged; return the time of waiting."""
        began, before = time.monotonic(), len(self._moments)
        wait_until(
            lambda: len(self._moments) >= before + number, "writes are acknowledged", seconds
        )
        return time.monotonic() - began

    @property
    def longest_time_without_writes(self) -> float:
        moments = sorted([*self._moments, max(write.ended for write in self.writes)])
        return max(later - earlier for earlier, later in itertools.pairwise(moments))

    def result(self, session: psycopg.Connection) -> "Result":
        """Compare the acknowledged writes with the rows of the primary."""
        rows = session.execute(
            "SELECT slug, comment.body FROM articles_comment AS comment"
            " JOIN articles_article AS article ON article.id = comment.article_id"
        ).fetchall()
        stored = Counter((slug, int(body.removeprefix("number "))) for slug, body in rows)
        return Result(
            reads=len(self.reads),
            failed=failures(self.reads),
            slowest=slowest(self.reads),
            stale=self.stale,
            writes=len(self.writes),
            refused=failures(self.writes),
            without_writes=self.longest_time_without_writes,
            lost=sorted(self._acknowledged.keys() - stored.keys()),
            doubled=sorted(comment for comment, count in stored.items() if count > 1),
        )


@dataclass(frozen=True)
class Result:
    reads: int
    failed: list[Reply]
    slowest: float
    stale: list[str]
    writes: int
    refused: list[Reply]
    without_writes: float
    lost: list[tuple[str, int]]
    doubled: list[tuple[str, int]]

    def __str__(self) -> str:
        return (
            f"{self.reads} GETs, {len(self.failed)} failed, the slowest took {self.slowest:.2f} s,"
            f" {len(self.stale)} were stale; {self.writes} writes, {len(self.refused)} refused,"
            f" {self.without_writes:.1f} s without writes, {len(self.lost)} lost,"
            f" {len(self.doubled)} doubled"
        )

    def check(self, *, slowest: float, without_writes: float) -> None:
        """Raise AssertionError if a GET failed or was stale, or if a write was lost or doubled;
        otherwise TooSlow if something took more than so many seconds."""
        assert not self.lost, self.lost
        assert not self.doubled, self.doubled
        assert not self.stale, self.stale[:5]
        assert not self.failed, self.failed[:5]
        assert {reply.status for reply in self.refused} <= {503}, self.refused[:5]
        assert_within(self.slowest, slowest)
        assert_within(self.without_writes, without_writes)


@contextmanager
def traffic(
    port: int, account: Account, writers: int = WRITERS, writers_port: int | None = None
) -> Iterator[Traffic]:
    """Run readers and writers during the block. `writers_port` is that of another API machine."""
    seen, stopped = Traffic(account, writers), threading.Event()

    def repeat(action: Callable[[Client], None], pause: float, port: int) -> None:
        client = Client(port)
        while not stopped.is_set():
            action(client)
            stopped.wait(pause)
        client.close()

    def writing(thread: Thread) -> Callable[[Client], None]:
        return lambda client: seen.write(client, thread)

    actions: Sequence[tuple[Callable[[Client], None], float, int]] = [
        *[(seen.read, READERS_PAUSE, port)] * READERS,
        *[
            (writing(thread), WRITERS_PAUSE, writers_port or port)
            for thread in account.threads[:writers]
        ],
    ]
    clients = [threading.Thread(target=repeat, args=action) for action in actions]
    for client in clients:
        client.start()
    try:
        yield seen
    finally:
        stopped.set()
        for client in clients:
            client.join()
