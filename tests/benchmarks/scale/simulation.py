"""A simulation of requests that wait for each other: how long do they take?

A request is a list of steps. Each step needs one core of a station for some time, or only time,
such as that of the network. A station has one queue, first come, first served.
"""

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import quantiles
from typing import NamedTuple


@dataclass(eq=False)
class Station:
    cores: int
    queue: "deque[_Running]" = field(default_factory=deque)


class Step(NamedTuple):
    station: Station | None
    seconds: float


class Request(NamedTuple):
    at: float
    """Seconds from the start of the simulation."""
    kind: str
    steps: Sequence[Step]


class Times(NamedTuple):
    """Percentiles in seconds."""

    p50: float
    p99: float


@dataclass(eq=False)
class _Running:
    request: Request
    done: int = -1
    """Steps that have ended; -1 before the arrival."""


def simulate(
    requests: Iterable[Request], after: Callable[[float], Request | None] = lambda _: None
) -> dict[str, list[float]]:
    """The seconds from the arrival to the answer of each request, by kind, in the order of the
    answers.

    `after` gives the request that a client sends at the time of an answer, if any.
    """
    numbers = itertools.count()  # the heap compares them if two events have the same time
    events = [(request.at, next(numbers), _Running(request)) for request in requests]
    heapq.heapify(events)
    times: dict[str, list[float]] = {}

    def start(now: float, running: _Running) -> None:
        ends = now + running.request.steps[running.done].seconds
        heapq.heappush(events, (ends, next(numbers), running))

    def enter(now: float, running: _Running) -> None:
        if running.done == len(running.request.steps):
            times.setdefault(running.request.kind, []).append(now - running.request.at)
            if (following := after(now)) is not None:
                enter(now, _Running(following, done=0))
            return
        station = running.request.steps[running.done].station
        if station is not None and station.cores == 0:
            station.queue.append(running)
            return
        if station is not None:
            station.cores -= 1
        start(now, running)

    def leave(now: float, running: _Running) -> None:
        station = running.request.steps[running.done].station if running.done >= 0 else None
        running.done += 1
        if station is None:
            return
        if station.queue:
            start(now, station.queue.popleft())
        else:
            station.cores += 1

    while events:
        now, _, running = heapq.heappop(events)
        leave(now, running)
        enter(now, running)
    return times


def percentiles(times: Sequence[float]) -> Times:
    """Of the times after the first tenth, when the queues were still empty."""
    cuts = quantiles(times[len(times) // 10 :], n=100)
    return Times(cuts[49], cuts[98])
