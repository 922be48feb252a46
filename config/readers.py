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
from threading import BoundedSemaphore, Lock, Thread
from typing import Protocol

# Bytes that a reader asks for at once: the most that a late body keeps in memory.
PIECE = 65_536
MAX_IDLE_READERS = 16


class TooManyBodies(Exception):
    """As many bodies as allowed are being read."""


class TooSlow(Exception):
    """The body was not received in time. Its reader is still blocked."""

    def __init__(self, body: "Body") -> None:
        super().__init__()
        self.body = body


class Stream(Protocol):
    """`wsgi.input`."""

    def read(self, size: int, /) -> bytes: ...


class Body:
    """A body that a reader reads."""

    def __init__(self, stream: Stream, size: int) -> None:
        self.pieces: list[bytes] = []
        self._stream = stream
        self._missing = size
        self._abandoned = False
        # Held until the reader has finished. An Event costs several times as much.
        self._reading = Lock()
        self._reading.acquire()

    def wait(self, seconds: float = -1) -> bool:
        """Whether the reader finishes within so many seconds; by default it waits for ever."""
        return self._reading.acquire(timeout=seconds)

    def abandon(self) -> None:
        """Makes the reader finish after its current piece, and frees the other ones."""
        self._abandoned = True
        self.pieces = []

    def read(self) -> None:
        try:
            while self._missing and not self._abandoned:
                piece = self._stream.read(min(self._missing, PIECE))
                if not piece:
                    break
                self.pieces.append(piece)
                self._missing -= len(piece)
        except OSError:
            pass  # some servers raise it when the client has hung up
        finally:
            self._reading.release()


class Readers:
    """Threads that read at most `most` bodies at once, and wait `timeout` seconds for each."""

    def __init__(self, *, timeout: float, most: int) -> None:
        self._timeout = timeout
        self._most = most
        self._forget()
        os.register_at_fork(after_in_child=self._forget)

    def receive(self, stream: Stream, size: int) -> bytes:
        """The next `size` bytes of the stream; fewer if the client has hung up.

        Raises TooManyBodies or TooSlow.
        """
        if not self._free.acquire(blocking=False):
            raise TooManyBodies
        body = Body(stream, size)
        try:
            reader = self._idle.pop()
        except IndexError:
            reader = _Reader(self._idle, self._free)
            self._start(reader)
        reader.take(body)
        if not body.wait(self._timeout):
            body.abandon()
            raise TooSlow(body)
        return b"".join(body.pieces)

    def _start(self, reader: "_Reader") -> None:
        try:
            reader.start()
        except RuntimeError as error:  # the operating system allows no more threads
            self._free.release()
            raise TooManyBodies from error

    def _forget(self) -> None:
        """Begins anew, also in a process that was forked: threads are not."""
        self._idle: deque[_Reader] = deque()
        self._free = BoundedSemaphore(self._most)


class _Reader(Thread):
    """Reads one body after another. As a daemon it does not keep the process from ending."""

    _body: Body

    def __init__(self, idle: "deque[_Reader]", free: BoundedSemaphore) -> None:
        super().__init__(name="body-reader", daemon=True)
        self._idle = idle
        self._free = free
        self._waiting = Lock()
        self._waiting.acquire()

    def take(self, body: Body) -> None:
        self._body = body
        self._waiting.release()

    def run(self) -> None:
        while True:
            self._waiting.acquire()
            try:
                self._body.read()
            finally:
                self._free.release()
            del self._body  # it keeps its connection open
            if len(self._idle) >= MAX_IDLE_READERS:
                return
            self._idle.append(self)
