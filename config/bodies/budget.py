"""Divides a limited amount between clients, so that one client cannot take all of it."""

import os
from threading import Lock


class SharedBudget:
    """An amount, of bytes for example, that client networks share.

    A network may take three quarters of the total: clients behind a proxy may share one address.
    The last quarter is for networks that have little: a network may then have a quarter of the
    free amount, at least 1. So about twenty networks are needed to use up the total.
    """

    _free: int
    _taken: dict[str, int]  # by network; no entry is 0

    def __init__(self, total: int) -> None:
        self._total = total
        self._reserve = max(1, total // 4)
        self._reset()
        os.register_at_fork(after_in_child=self._reset)

    def take(self, network: str, amount: int = 1) -> bool:
        """Take an amount for the network. Returns False, and takes nothing, if the network may not
        have it. The caller must give it back later."""
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

    def _reset(self) -> None:
        """Free the whole amount, also in a forked process: the requests stay in its parent."""
        self._free = self._total
        self._taken = {}
        self._lock = Lock()
