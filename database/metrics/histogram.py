"""A histogram of prometheus_client that adds up its observations once a second."""

import os
from bisect import bisect_right
from collections import deque
from contextlib import suppress
from typing import Any

import prometheus_client

from database.background import survive

# Amounts that a histogram keeps until they are added up. Beyond that, the thread that observes
# adds them up itself: the list stays bounded when the thread that calls `flush` has ended.
MOST_WAITING = 10_000

_histograms: list["Histogram"] = []
_somebody_flushes = False


class Histogram(prometheus_client.Histogram):
    """Observations wait in a queue until `flush` adds them up. In a process that never calls
    `flush`, they are added up at once.

    prometheus_client writes each observation to a file under a lock. With eight threads this takes
    2.2 µs, the queue 0.13 µs: for six observations 1.6 % of a list request, 2 % of `SELECT 1`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._waiting: deque[float] = deque()
        _histograms.append(self)  # also each child that `labels` makes

    def observe(self, amount: float, exemplar: dict[str, str] | None = None) -> None:
        if _somebody_flushes:
            self._waiting.append(amount)
            if len(self._waiting) >= MOST_WAITING:
                survive(self.flush)
        else:
            super().observe(amount, exemplar)

    def flush(self) -> None:
        """Do what the base class does in `observe`, once for all amounts that wait."""
        amounts = []
        with suppress(IndexError):  # all of them
            while True:
                amounts.append(self._waiting.popleft())
        if not amounts:
            return
        amounts.sort()
        self._sum.inc(sum(amounts))
        counted = 0
        for bound, bucket in zip(self._upper_bounds, self._buckets, strict=True):
            within = bisect_right(amounts, bound)
            if within > counted:
                bucket.inc(within - counted)
                counted = within


def flush() -> None:
    """Add up everything that was observed before. To be called once a second, or never: from
    the first time on, all histograms leave their work for it."""
    global _somebody_flushes
    _somebody_flushes = True
    for histogram in list(_histograms):
        survive(histogram.flush)


def _forget_what_waits() -> None:
    """In a process that was forked: its parent adds up what it has observed."""
    for histogram in _histograms:
        histogram._waiting.clear()


os.register_at_fork(after_in_child=_forget_what_waits)
