"""How many requests of a process run at once."""

from collections import deque
from threading import Lock


class Turns:
    """As many turns as the process has threads for requests; who comes first, runs first.

    `serve` has more threads than that, because a thread may also wait for the body of a request.
    threading.Semaphore costs four times as much, and lets a newcomer go first.
    """

    def __init__(self, number: int) -> None:
        self._free = number
        self._waiting: deque[Lock] = deque()
        self._lock = Lock()

    def take(self) -> None:
        """Waits for a turn. Whoever takes one has to call give_back()."""
        with self._lock:
            if self._free:
                self._free -= 1
                return
            turn = Lock()
            turn.acquire()
            self._waiting.append(turn)
        turn.acquire()

    def give_back(self) -> None:
        """Hands the turn to the request that has waited longest."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._free += 1
