"""The figures of the pools of this process, for each second of the last five minutes."""

import json
import os
from bisect import bisect_left
from collections import deque
from collections.abc import Mapping
from functools import cache
from itertools import accumulate
from typing import Any, NamedTuple

from database.metrics.figures import ACQUIRES, WAIT, WAIT_BOUNDS

SECONDS = 300  # how far the history reaches back
REFUSALS = ("timeout", "queue_full")

# The counters of this process are looked up once, because labels() takes a lock.
_acquires, _wait = cache(ACQUIRES.labels), cache(WAIT.labels)


class PoolState(NamedTuple):
    """The connections of one database in this process, at one moment."""

    in_use: int
    idle: int
    waiting: int
    max: int


class Second(NamedTuple):
    """What happened to one database in this process within a second."""

    state: PoolState
    refused: tuple[int, ...]
    """Refused requests, in the order of REFUSALS."""
    waits: list[int]
    """Successful checkouts by their duration: how many are in each bucket of WAIT_BOUNDS, without
    the zeros at the end."""


class History:
    """Each second is stored as the line of JSON that the report contains, so that the report of
    five minutes costs no more than one line."""

    def __init__(self) -> None:
        self.clear()
        os.register_at_fork(after_in_child=self.clear)

    def clear(self) -> None:
        self.lines: deque[bytes] = deque(maxlen=SECONDS)
        self._counters: dict[str, list[int]] = {}  # as they were a second ago

    def add(self, states: Mapping[str, PoolState], now: float) -> None:
        """Add a second that ends now (seconds since 1970); `states` has a state for each alias."""
        databases = {alias: [*state, *self._since_last(alias)] for alias, state in states.items()}
        self.lines.append(json.dumps([int(now), databases], separators=(",", ":")).encode())

    def _since_last(self, alias: str) -> tuple[list[int], list[int]]:
        refused = [int(_acquires(alias, result)._value.get()) for result in REFUSALS]
        counters = refused + _wait(alias).counts()
        before = self._counters.get(alias, counters)
        self._counters[alias] = counters
        growth = [now - then for now, then in zip(counters, before, strict=True)]
        waits = growth[len(REFUSALS) :]
        while waits and not waits[-1]:
            waits.pop()
        return growth[: len(REFUSALS)], waits


def parse_second(line: Any) -> tuple[int, dict[str, Second]]:
    """The time and the databases of a decoded line.

    Raises ValueError, TypeError or AttributeError if it is no such line.
    """
    at, databases = line
    seconds = {}
    for alias, (in_use, idle, waiting, maximum, refused, waits) in databases.items():
        state = PoolState(int(in_use), int(idle), int(waiting), int(maximum))
        seconds[str(alias)] = Second(state, tuple(map(int, refused)), [*map(int, waits)])
    return int(at), seconds


def bucket_of_quantile(counts: list[int], quantile: float) -> tuple[float, float | None] | None:
    """The bounds in seconds between which the quantile of the waits lies. None without any waits;
    the upper bound is None in the last bucket.

    A histogram gives no better answer: linear interpolation, as in Prometheus' histogram_quantile,
    would invent digits.
    """
    total = sum(counts)
    if not total:
        return None
    number = bisect_left([*accumulate(counts)], quantile * total)
    bounds = (0.0, *WAIT_BOUNDS, None)
    return bounds[number] or 0.0, bounds[number + 1]
