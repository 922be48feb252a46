"""The queue in front of a pool: which request gets a connection next, and which is refused.

A queue that moves is no reason to refuse a request, however long it is: a burst of quick
requests is served. A queue that does not move is one: the database does not answer, and soon
every thread of the server would wait for it. CoDel decides in the same way about packets, by
how long they wait and not by how many they are (RFC 8289).
"""

import threading
from collections import deque
from itertools import islice
from math import inf
from time import monotonic

from psycopg_pool import PoolTimeout, TooManyRequests

STALL = 0.1  # seconds without progress after which a pool is stalled
STEP = 0.025  # seconds: how often a request that may be refused looks for progress
# Seconds: a thread that wakes later than this was kept waiting for the CPU, or for another
# thread of this process: the time a thread runs before Python switches (sys.setswitchinterval).
LATE = 0.005


class AdmissionQueue:
    """Lets requests in, in the order in which they came, up to `slots` at a time.

    Of those that wait, only the newest are refused: they have waited least, and the oldest is the
    next to be served. The acquire time-out bounds how old a request can become.
    """

    def __init__(self, slots: int, limit: float, limit_when_stalled: float) -> None:
        """At most `limit` requests may wait; at most `limit_when_stalled` while no connection
        has come back or been opened for `STALL` seconds. Both may be infinite."""
        self._slots: float = slots
        self._limit = limit
        self._limit_when_stalled = limit_when_stalled
        self._lock = threading.Lock()
        self._inside = 0
        # A request that waits is a lock that it wants to acquire, oldest first.
        self._queue: deque[threading.Lock] = deque()
        self._moves = 0  # connections that have come back or been opened
        self._stalled_after = -1  # the value of _moves since which the pool is stalled

    @property
    def clients(self) -> int:
        """Requests that are inside, and those that wait."""
        return self._inside + len(self._queue)

    @property
    def is_full(self) -> bool:
        """Whether the next request would be refused."""
        stalled = self._moves == self._stalled_after
        limit = min(self._limit, self._limit_when_stalled) if stalled else self._limit
        return self._inside >= self._slots and len(self._queue) >= limit

    def enter(self, until: float) -> None:
        """Wait for a slot, up to `until` (`time.monotonic()`); every `enter` needs a `leave`.

        Raises TooManyRequests if the queue is full, or this request is one too many in a queue
        that does not move; PoolTimeout at `until`.
        """
        with self._lock:
            if self._inside < self._slots:
                self._inside += 1
                return
            if self.is_full:
                raise TooManyRequests(f"{len(self._queue)} requests are waiting already")
            turn = threading.Lock()
            turn.acquire()
            self._queue.append(turn)
        try:
            self._wait(turn, until)
        except BaseException:
            self._give_up(turn)
            raise

    def leave(self, *, moved: bool = False) -> None:
        """Give the slot to the oldest request that waits; `moved` as the method says."""
        with self._lock:
            self._moves += moved
            self._leave()

    def moved(self) -> None:
        """A connection has come back, or was opened."""
        with self._lock:
            self._moves += 1

    def close(self) -> None:
        """Let in all that wait, and all that come: the pool refuses them."""
        with self._lock:
            self._slots = inf
            while self._queue:
                self._inside += 1
                self._queue.popleft().release()

    def _wait(self, turn: threading.Lock, until: float) -> None:
        unmoved, moves = 0.0, self._moves
        while self._is_surplus(turn):
            started = monotonic()
            if turn.acquire(timeout=min(STEP, max(0.0, until - started))):
                return
            now = monotonic()
            if now >= until:
                break
            if moves != self._moves:
                unmoved, moves = 0.0, self._moves
            # A step that ends late counts a tenth: this process lacks CPU time, and its requests
            # are slow for that reason, not because the database does not answer.
            else:
                unmoved += STEP if now - started < STEP + LATE else STEP / 10
            if unmoved >= STALL:
                self._stalled_after = moves
        if not turn.acquire(timeout=max(0.0, until - monotonic())):
            raise PoolTimeout

    def _is_surplus(self, turn: threading.Lock) -> bool:
        """Whether the request has to go if the pool is stalled. Raises TooManyRequests if it is."""
        with self._lock:
            if len(self._queue) <= self._limit_when_stalled:
                return False
            if turn not in islice(self._queue, int(self._limit_when_stalled), None):
                return False
            if self._moves == self._stalled_after:
                raise TooManyRequests(f"no connection has come back for {STALL:g} s")
            return True

    def _give_up(self, turn: threading.Lock) -> None:
        with self._lock:
            if turn in self._queue:
                self._queue.remove(turn)
            else:  # it was let in this moment
                self._leave()

    def _leave(self) -> None:
        if self._queue:
            self._queue.popleft().release()
        else:
            self._inside -= 1
