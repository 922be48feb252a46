"""Clients that ask a server at the same time, and what they were answered, and when.

Moments are readings of time.monotonic(), lengths of time are in seconds.
"""

import http.client
import itertools
import json
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

# Longer than any answer may take: a request that waits for ever is an answer that came late.
PATIENCE = 60.0


class Question(NamedTuple):
    method: str
    path: str
    body: bytes | None = None
    headers: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True, repr=False)
class Reply:
    question: Question
    started: float
    seconds: float
    status: int = 0  # 0: there was none, and `error` says why
    content: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)  # names in lower case
    error: str = ""

    @property
    def ended(self) -> float:
        return self.started + self.seconds

    @property
    def succeeded(self) -> bool:
        return 200 <= self.status < 300

    def json(self) -> Any:
        """The content; None if it is not JSON."""
        try:
            return json.loads(self.content)
        except ValueError:
            return None

    def __repr__(self) -> str:
        what = f"{self.status} {self.content[:80]!r}" if self.status else self.error
        return f"{self.question.method} {self.question.path} in {self.seconds:.3f} s: {what}"


class Client:
    """One connection to a server on this machine, kept alive and opened anew after an error."""

    def __init__(self, port: int, address: str | None = None) -> None:
        """`address` is the client's own, such as 127.0.0.2.

        It is not bound without need: while a server starts, bind() may choose the very port that
        the server is to have, and the client would connect to itself.
        """
        self._connection = http.client.HTTPConnection(
            "127.0.0.1", port, timeout=PATIENCE, source_address=(address, 0) if address else None
        )

    def ask(self, question: Question) -> Reply:
        """Send it and wait for the answer; an error is an answer too."""
        started = time.monotonic()
        try:
            self._connection.request(*question)
            response = self._connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            return Reply(question, started, time.monotonic() - started, error=repr(error))
        seconds = time.monotonic() - started
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Reply(question, started, seconds, response.status, content, headers)

    def close(self) -> None:
        self._connection.close()


def ask(port: int, path: str, method: str = "GET") -> Reply:
    """One request over a connection of its own."""
    client = Client(port)
    try:
        return client.ask(Question(method, path))
    finally:
        client.close()


def ask_at_once(port: int, paths: Sequence[str]) -> list[Reply]:
    """All requests at the same moment, each over a connection of its own."""
    start = threading.Barrier(len(paths))

    def one(path: str) -> Reply:
        start.wait()
        return ask(port, path)

    with ThreadPoolExecutor(len(paths)) as threads:
        return list(threads.map(one, paths))


@contextmanager
def load(
    port: int, clients: int, question: Callable[[], Question], pause: float = 0.01
) -> Iterator[list[Reply]]:
    """So many clients, each asking one question after another with a pause between them.

    The list grows while they ask, and is complete when the block has ended: what is still
    asked then is waited for.
    """
    replies: list[Reply] = []
    stopped = threading.Event()

    def ask_until_stopped() -> None:
        client = Client(port)
        while not stopped.is_set():
            replies.append(client.ask(question()))
            stopped.wait(pause)
        client.close()

    threads = [threading.Thread(target=ask_until_stopped) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield replies
    finally:
        stopped.set()
        for thread in threads:
            thread.join()


def reading(*paths: str) -> Callable[[], Question]:
    """GETs of one path after the other, whichever client asks."""
    return partial(next, itertools.cycle(Question("GET", path) for path in paths))


def failures(replies: Iterable[Reply]) -> list[Reply]:
    return [reply for reply in replies if not reply.succeeded]


def slowest(replies: Iterable[Reply]) -> float:
    return max(reply.seconds for reply in replies)


def longest_gap(replies: Sequence[Reply]) -> float:
    """The longest time in which no request succeeded, from the first success on."""
    moments = sorted(reply.ended for reply in replies if reply.succeeded)
    moments.append(max(reply.ended for reply in replies))
    return max(later - earlier for earlier, later in itertools.pairwise(moments))


def first_success(replies: Iterable[Reply], after: float) -> float:
    """How long after a moment the first success came; infinitely long if none did."""
    moments = (reply.ended for reply in replies if reply.succeeded and reply.ended >= after)
    return min(moments, default=math.inf) - after
