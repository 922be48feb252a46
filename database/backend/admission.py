"""The queue in front of a pool: which request gets a connection next, and which is refused.

A burst of quick requests is served, however long the queue is. Unless the queue has a fixed limit
(DATABASE_MAX_WAITING), requests are refused only while it does not move: then the database does not
answer, and soon every thread of the server would wait for it. CoDel treats packets in the same way:
it looks at how long they wait, not at how many wait (RFC 8289).
"""

import threading
from collections import deque
from itertools import islice
from math import inf
from time import monotonic

from psycopg_pool import PoolTimeout, TooManyRequests

STALL = 0.1  # seconds without progress after which a pool is stalled
STEP = 0.025  # seconds: how often a waiting request checks for progress
# Seconds. A thread that wakes later than this had to wait for the CPU or for another thread. The
# value is the time that a thread runs before Python switches to another (sys.setswitchinterval).
LATE = 0.005


class AdmissionQueue:
    """Admits up to `slots` requests at a time, the oldest first.

    It refuses the newest requests first: they have waited least. The acquire timeout bounds how
    long a request waits.
    """

    def __init__(self, slots: int, limit: float, limit_when_stalled: float) -> None:
        """At most `limit` requests may wait, and at most `limit_when_stalled` while no connection
        was returned or opened for `STALL` seconds. Both may be infinite."""
        self._slots: float = slots
        self._limit = limit
        self._limit_when_stalled = limit_when_stalled
        self._lock = threading.Lock()
        self._inside = 0
        # One lock for each waiting request, oldest first. The request is admitted when its lock is
        # released.
        self._queue: deque[threading.Lock] = deque()
        self._moves = 0  # how many connections were returned or opened
        self._stalled_after = -1  # the value of _moves when the pool stalled

    @property
    def clients(self) -> int:
        """How many requests are admitted or waiting."""
        return self._inside + len(self._queue)

    @property
    def is_full(self) -> bool:
        """Whether the next request would be refused."""
        stalled = self._moves == self._stalled_after
        limit = min(self._limit, self._limit_when_stalled) if stalled else self._limit
        return self._inside >= self._slots and len(self._queue) >= limit

    def enter(self, until: float) -> None:
        """Wait for a slot until `until` (`time.monotonic()`). The caller must call `leave` later.

        Raises TooManyRequests if the queue is full, or if it is too long and does not move;
        PoolTimeout at `until`.
        """
        with self._lock:
            if self._inside < self._slots:
                self._inside += 1
                return
            if self.is_full:
                raise TooManyRequests(f"{len(self._queue)} requests are already waiting")
            turn = threading.Lock()
            turn.acquire()
            self._queue.append(turn)
        try:
            self._wait(turn, until)
        except BaseException:
            self._give_up(turn)
            raise

    def enter_first(self) -> None:
        """Take a slot beyond the limit, ahead of all that wait. The caller must call `leave`."""
        with self._lock:
            self._inside += 1

    def leave(self, *, moved: bool = False) -> None:
        """Give the slot to the oldest waiting request. With `moved`, report progress too."""
        with self._lock:
            self._moves += moved
            self._leave()

    def moved(self) -> None:
        """Report progress: a connection was returned or opened."""
        with self._lock:
            self._moves += 1

    def close(self) -> None:
        """Admit every request, now and later: a closed pool refuses them with the right error."""
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
            # A step that ends late counts a tenth: this process lacks CPU time. Its requests are
            # slow for that reason, not because the database does not answer.
            else:
                unmoved += STEP if now - started < STEP + LATE else STEP / 10
            if unmoved >= STALL:
                self._stalled_after = moves
        if not turn.acquire(timeout=max(0.0, until - monotonic())):
            raise PoolTimeout

    def _is_surplus(self, turn: threading.Lock) -> bool:
        """Whether the request is refused when the pool stalls. Raises TooManyRequests if the pool
        is already stalled."""
        with self._lock:
            if len(self._queue) <= self._limit_when_stalled:
                return False
            if turn not in islice(self._queue, int(self._limit_when_stalled), None):
                return False
            if self._moves == self._stalled_after:
                raise TooManyRequests(f"no connection was returned or opened for {STALL:g} s")
            return True

    def _give_up(self, turn: threading.Lock) -> None:
        with self._lock:
            if turn in self._queue:
                self._queue.remove(turn)
            else:  # another thread admitted it meanwhile
                self._leave()

    def _leave(self) -> None:
        if self._queue and self._inside <= self._slots:
            self._queue.popleft().release()
        else:
            self._inside -= 1
