"""Clients that send requests at the same time, and the replies with their times.

Points in time are values of time.monotonic(); durations are in seconds.
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

# Longer than any reply may take, so that a request that hangs becomes a slow reply and no deadlock.
RESPONSE_TIMEOUT = 60.0


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
    status: int = 0  # 0: no reply, and `error` has the reason
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
    """A keep-alive connection to a server on this machine, which reconnects after an error."""

    def __init__(self, port: int, address: str | None = None) -> None:
        """`address` is the source address, such as 127.0.0.2.

        Without `address` the socket is not bound: while a server starts, bind() may choose the
        port of the server, and the client would connect to itself.
        """
        self._connection = http.client.HTTPConnection(
            "127.0.0.1",
            port,
            timeout=RESPONSE_TIMEOUT,
            source_address=(address, 0) if address else None,
        )

    def ask(self, question: Question) -> Reply:
        """Send the request and wait for the reply; an error is a reply too."""
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


def ask(port: int, path: str, method: str = "GET", *, headers: Mapping[str, str] = {}) -> Reply:
    """Send one request over a new connection."""
    client = Client(port)
    try:
        return client.ask(Question(method, path, headers=headers))
    finally:
        client.close()


def ask_at_once(port: int, paths: Sequence[str]) -> list[Reply]:
    """Send all requests at the same time, each over a new connection."""
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
    """Run clients that send one request after another with a pause between them.

    The list grows during the block. At its end the running requests are awaited, and then the list
    is complete.
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
    """GET requests of the paths in turn, shared by all clients."""
    return partial(next, itertools.cycle(Question("GET", path) for path in paths))


def failures(replies: Iterable[Reply]) -> list[Reply]:
    return [reply for reply in replies if not reply.succeeded]


def slowest(replies: Iterable[Reply]) -> float:
    return max(reply.seconds for reply in replies)


def longest_gap(replies: Sequence[Reply]) -> float:
    """The longest time without a successful reply, from the first success on."""
    moments = sorted(reply.ended for reply in replies if reply.succeeded)
    moments.append(max(reply.ended for reply in replies))
    return max(later - earlier for earlier, later in itertools.pairwise(moments))


def first_success(replies: Iterable[Reply], after: float) -> float:
    """The seconds from `after` to the first success after it; infinity without one."""
    moments = (reply.ended for reply in replies if reply.succeeded and reply.ended >= after)
    return min(moments, default=math.inf) - after
