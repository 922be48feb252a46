"""Reads the bodies of requests, each for a bounded time.

A WSGI application asks its server for the body, and blocks until the client has sent it. granian
has no timeout for that, and Python cannot interrupt the call. So a reader thread makes the call,
and the thread of the request waits for the reader, with a timeout. When the time is over, the
request can be answered. The reader stays blocked until the client sends more or hangs up.

For a body that is already there this costs two switches between threads: 2 to 6 % of the CPU time
of a server process for a new comment, and nothing for a request without a body.
"""

import os
from collections import deque
from threading import Lock, Thread
from typing import Protocol

from config.bodies.quotas import Shares

# Bytes that a reader asks for at once: the most that a late body keeps in memory.
PIECE = 65_536
MAX_IDLE_READERS = 16


class TooManyBodies(Exception):
    """The client's network may have no more bodies on the way, or no more bytes in memory."""


class TooSlow(Exception):
    """The body was not received in time. Its reader is still blocked."""

    def __init__(self, body: "Body") -> None:
        super().__init__()
        self.body = body


class Stream(Protocol):
    """`wsgi.input`."""

    def read(self, size: int, /) -> bytes: ...


class Body:
    """The next `size` bytes of a stream, or fewer if the client hangs up. A reader reads it."""

    def __init__(self, stream: Stream, size: int, network: str, memory: Shares) -> None:
        self.network = network
        self.received = 0  # bytes
        self.refused = False  # because it does not fit into memory
        self._stream = stream
        self._missing = size
        self._memory = memory
        self._reserved = 0  # bytes of memory
        self._pieces: list[bytes] = []
        self._abandoned = False
        self._finished = False
        # Held until the reader has finished. An Event costs several times as much.
        self._reading = Lock()
        self._reading.acquire()

    def wait(self, seconds: float = -1) -> bool:
        """Whether the reader finishes within this many seconds; -1: no limit."""
        self._finished = self._finished or self._reading.acquire(timeout=seconds)
        return self._finished

    def abandon(self) -> None:
        """Make the reader finish after its current piece, and free the other ones."""
        self._abandoned = True
        self._pieces = []

    def take_content(self) -> bytes:
        """What was received. The body does not keep it."""
        content, self._pieces = b"".join(self._pieces), []
        return content

    def end(self) -> None:
        """Wait for the reader, and give the memory back. To be called after the answer."""
        self.wait()
        self._memory.give_back(self.network, self._reserved)
        self._reserved = 0

    def read(self) -> None:
        try:
            while self._missing and not self._abandoned:
                size = min(self._missing, PIECE)
                if not self._memory.take(self.network, size):
                    self.refused = True
                    break
                self._reserved += size
                piece = self._stream.read(size)
                if not piece:
                    break
                self._pieces.append(piece)
                self.received += len(piece)
                self._missing -= len(piece)
        except OSError:
            pass  # some servers raise it when the client has hung up
        finally:
            self._reading.release()


class Readers:
    """Threads that read at most `most` bodies at once, and wait `timeout` seconds for each.

    All bodies together have at most `memory` bytes. A body counts until its request ends. No client
    can use up either: see Shares.
    """

    def __init__(self, *, timeout: float, most: int, memory: int) -> None:
        self._timeout = timeout
        self._slots = Shares(most)
        self._memory = Shares(memory)
        self._forget()
        os.register_at_fork(after_in_child=self._forget)

    def receive(self, stream: Stream, size: int, network: str) -> Body:
        """The next `size` bytes of the stream, for a client of this network.

        The caller has to end() the body, also that of TooSlow. Raises TooManyBodies or TooSlow.
        """
        if not self._slots.take(network):
            raise TooManyBodies
        body = Body(stream, size, network, self._memory)
        try:
            reader = self._idle.pop()
        except IndexError:
            reader = _Reader(self._idle, self._slots)
            self._start(reader, network)
        reader.take(body)
        if not body.wait(self._timeout):
            body.abandon()
            raise TooSlow(body)
        if body.refused:
            body.abandon()
            body.end()
            raise TooManyBodies
        return body

    def _start(self, reader: "_Reader", network: str) -> None:
        try:
            reader.start()
        except RuntimeError as error:  # the operating system allows no more threads
            self._slots.give_back(network)
            raise TooManyBodies from error

    def _forget(self) -> None:
        """Begin without readers, also in a process that was forked: threads are not."""
        self._idle: deque[_Reader] = deque()


class _Reader(Thread):
    """Reads one body after another. It is a daemon, so that it does not keep the process alive."""

    _body: Body

    def __init__(self, idle: "deque[_Reader]", slots: Shares) -> None:
        super().__init__(name="body-reader", daemon=True)
        self._idle = idle
        self._slots = slots
        self._waiting = Lock()
        self._waiting.acquire()

    def take(self, body: Body) -> None:
        self._body = body
        self._waiting.release()

    def run(self) -> None:
        while True:
            self._waiting.acquire()
            network = self._body.network
            try:
                self._body.read()
            finally:
                self._slots.give_back(network)
            del self._body  # it keeps its connection open
            if len(self._idle) >= MAX_IDLE_READERS:
                return
            self._idle.append(self)
