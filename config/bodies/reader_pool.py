"""Reads the bodies of requests, each for a bounded time.

A WSGI application asks its server for the body, and blocks until the client has sent it. granian
has no timeout for that, and Python cannot interrupt the call. So a reader thread makes the call,
and the thread of the request waits for the reader, with a timeout. After the timeout, the request
can be answered. The reader stays blocked until the client sends more or closes the connection.

For a body that is already there this costs two switches between threads: 2 to 6 % of the CPU time
of a server process for a new comment, and nothing for a request without a body.
"""

import os
from collections import deque
from threading import Lock, Thread
from typing import Protocol

from config.bodies.budget import SharedBudget

# Bytes of one read(). A late body keeps at most this much memory.
CHUNK_SIZE = 65_536
MAX_IDLE_READERS = 16


class TooManyBodies(Exception):
    """At the moment, the client's network may not send another body or more bytes."""


class Stream(Protocol):
    """`wsgi.input`."""

    def read(self, size: int, /) -> bytes: ...


class Body:
    """The next `size` bytes of a stream, or fewer if the client closes the connection. A reader
    thread calls `read()`, and the thread of the request calls the other methods."""

    def __init__(self, stream: Stream, size: int, network: str, memory: SharedBudget) -> None:
        self.network = network
        self.received = 0  # bytes
        self.late = False  # not received in time: its reader is still blocked
        self.refused = False  # because it does not fit into memory
        self._stream = stream
        self._missing = size
        self._memory = memory
        self._reserved = 0  # bytes of memory
        self._chunks: list[bytes] = []
        self._abandoned = False
        self._finished = False
        # Held until the reader has finished. An Event costs several times as much.
        self._reading = Lock()
        self._reading.acquire()

    def wait(self, seconds: float = -1) -> bool:
        """Whether the reader finishes within this many seconds; -1 means no limit."""
        self._finished = self._finished or self._reading.acquire(timeout=seconds)
        return self._finished

    def abandon(self) -> None:
        """Make the reader stop after its current chunk, and free the other chunks."""
        self._abandoned = True
        self._chunks = []

    def take_content(self) -> bytes:
        """Return the received bytes, and free the memory that this body has for them."""
        content, self._chunks = b"".join(self._chunks), []
        return content

    def close(self) -> None:
        """Wait for the reader, and give the memory back. To be called after the answer."""
        self.wait()
        self._memory.give_back(self.network, self._reserved)
        self._reserved = 0

    def read(self) -> None:
        try:
            while self._missing and not self._abandoned:
                size = min(self._missing, CHUNK_SIZE)
                if not self._memory.take(self.network, size):
                    self.refused = True
                    break
                self._reserved += size
                chunk = self._stream.read(size)
                if not chunk:
                    break
                self._chunks.append(chunk)
                self.received += len(chunk)
                self._missing -= len(chunk)
        except OSError:
            pass  # some servers raise it when the client has closed the connection
        finally:
            self._reading.release()


class ReaderPool:
    """Threads that read at most `max_bodies` bodies at once, each for at most `timeout` seconds.

    All bodies together have at most `max_bytes` of memory. A body counts until its request ends.
    SharedBudget divides both between clients.
    """

    def __init__(self, *, timeout: float, max_bodies: int, max_bytes: int) -> None:
        self._timeout = timeout
        self._slots = SharedBudget(max_bodies)
        self._memory = SharedBudget(max_bytes)
        self._reset()
        os.register_at_fork(after_in_child=self._reset)

    def receive(self, stream: Stream, size: int, network: str) -> Body:
        """Read the next `size` bytes of the stream, for a client of this network.

        The caller must close() the body, also if it is `late`. Raises TooManyBodies.
        """
        if not self._slots.take(network):
            raise TooManyBodies
        body = Body(stream, size, network, self._memory)
        try:
            reader = self._idle.pop()
        except IndexError:
            reader = _ReaderThread(self._idle, self._slots)
            self._start(reader, network)
        reader.assign(body)
        body.late = not body.wait(self._timeout)
        if body.refused and not body.late:
            body.abandon()
            body.close()
            raise TooManyBodies
        return body

    def _start(self, reader: "_ReaderThread", network: str) -> None:
        try:
            reader.start()
        except RuntimeError as error:  # the operating system allows no more threads
            self._slots.give_back(network)
            raise TooManyBodies from error

    def _reset(self) -> None:
        """Start without readers, also in a forked process: the threads stay in its parent."""
        self._idle: deque[_ReaderThread] = deque()


class _ReaderThread(Thread):
    """Reads one body after another. It is a daemon, so that it does not keep the process alive."""

    _body: Body

    def __init__(self, idle: "deque[_ReaderThread]", slots: SharedBudget) -> None:
        super().__init__(name="body-reader", daemon=True)
        self._idle = idle
        self._slots = slots
        self._waiting = Lock()
        self._waiting.acquire()

    def assign(self, body: Body) -> None:
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
            del self._body  # a reference to the body would keep the client's connection open
            if len(self._idle) >= MAX_IDLE_READERS:
                return
            self._idle.append(self)
