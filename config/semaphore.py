"""Limits how many requests of a process run at once."""

from collections import deque
from threading import Lock


class FairSemaphore:
    """A semaphore that serves threads in the order in which they came.

    `serve` has more threads than slots, because a thread may also wait for the body of a request.
    threading.Semaphore costs four times as much, and does not keep the order.
    """

    def __init__(self, slots: int) -> None:
        self._free = slots
        self._waiting: deque[Lock] = deque()
        self._lock = Lock()

    def acquire(self) -> None:
        """Wait for a free slot, and take it. The caller must call release() later."""
        with self._lock:
            if self._free:
                self._free -= 1
                return
            turn = Lock()
            turn.acquire()
            self._waiting.append(turn)
        turn.acquire()

    def release(self) -> None:
        """Give the slot to the thread that has waited longest, or free it."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._free += 1
