"""A buffered version of prometheus_client's histogram."""

import os
from bisect import bisect_right
from collections import deque
from contextlib import suppress
from typing import Any

import prometheus_client

from database.background import survive

# Observations in the buffer of one histogram. At this size the observing thread writes them, so
# that the buffer stays bounded when the thread that calls `flush` has ended.
MAX_BUFFERED = 10_000

_histograms: list["Histogram"] = []
_is_buffering = False


class Histogram(prometheus_client.Histogram):
    """A histogram that buffers its observations until `flush` writes them.

    prometheus_client writes each observation to a file under a lock. With eight threads this takes
    2.2 µs, the buffer 0.13 µs: for six observations 1.6 % of a list request, 2 % of `SELECT 1`.
    Before the first `flush` of the process, observations are not buffered.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._buffer: deque[float] = deque()
        _histograms.append(self)  # also each child that `labels` makes

    def observe(self, amount: float, exemplar: dict[str, str] | None = None) -> None:
        if _is_buffering:
            self._buffer.append(amount)
            if len(self._buffer) >= MAX_BUFFERED:
                survive(self.flush)
        else:
            super().observe(amount, exemplar)

    def counts(self) -> list[int]:
        """How many observations of this process each bucket has, without those in the buffer."""
        return [int(bucket.get()) for bucket in self._buckets]

    def flush(self) -> None:
        """Write all buffered observations, with one update for each bucket that they change."""
        amounts = []
        with suppress(IndexError):  # the buffer is empty
            while True:
                amounts.append(self._buffer.popleft())
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
    """Write the buffers of all histograms. The first call turns buffering on for this process, so
    call it once a second from then on."""
    global _is_buffering
    _is_buffering = True
    for histogram in list(_histograms):
        survive(histogram.flush)


def _clear_buffers() -> None:
    """In a forked process: its parent writes these observations."""
    for histogram in _histograms:
        histogram._buffer.clear()


os.register_at_fork(after_in_child=_clear_buffers)
