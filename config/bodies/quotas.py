"""Divides something that is scarce between clients, so that one client cannot take all of it."""

import os
from threading import Lock


class Shares:
    """Divides an amount between client networks.

    The last quarter is kept for the networks that have little: from there on, a network may have
    a quarter of what is free, at least 1. So it takes some twenty networks to use everything up,
    and clients that share an address, behind a proxy for example, may use three quarters.
    """

    _free: int
    _taken: dict[str, int]  # by network; none has 0

    def __init__(self, total: int) -> None:
        self._total = total
        self._reserve = max(1, total // 4)
        self._forget()
        os.register_at_fork(after_in_child=self._forget)

    def take(self, network: str, amount: int = 1) -> bool:
        """Whether the network may have so much more. If so, it has to be given back."""
        with self._lock:
            has = self._taken.get(network, 0) + amount
            left = self._free - amount
            if left < 0 or (left < self._reserve and has > max(1, self._free // 4)):
                return False
            self._taken[network] = has
            self._free = left
            return True

    def give_back(self, network: str, amount: int = 1) -> None:
        with self._lock:
            self._free += amount
            self._taken[network] -= amount
            if not self._taken[network]:
                del self._taken[network]

    def _forget(self) -> None:
        """Begin anew, also in a process that was forked: its requests are not."""
        self._free = self._total
        self._taken = {}
        self._lock = Lock()
