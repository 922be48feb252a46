"""How many requests of a process run at once."""

from collections import deque
from threading import Lock


class Turns:
    """A fixed number of turns. The request that has waited longest gets the next one.

    `serve` has more threads than turns, because a thread may also wait for the body of a request.
    A threading.Semaphore costs four times as much, and does not keep the order.
    """

    def __init__(self, number: int) -> None:
        self._free = number
        self._waiting: deque[Lock] = deque()
        self._lock = Lock()

    def take(self) -> None:
        """Wait for a turn. The caller must call give_back() later."""
        with self._lock:
            if self._free:
                self._free -= 1
                return
            turn = Lock()
            turn.acquire()
            self._waiting.append(turn)
        turn.acquire()

    def give_back(self) -> None:
        """Hand the turn to the request that has waited longest."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._free += 1
