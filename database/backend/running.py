"""The request that each thread is at work on, as the connection layer sees it."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from threading import get_ident


@dataclass(slots=True)
class RunningRequest:
    route: Callable[[], str]
    """What the log calls the request; asked only when there is something to log."""
    deadline: float
    """When its connection is cut; `time.monotonic()`."""
    try_again_until: float = -inf
    """Until when it is run again if its connection turns out to be broken."""
    acquire_by: float | None = None
    """Until when a second try may wait for a connection; None for a first one."""
    cut: bool = False
    """Whether the deadline has passed, and its connection was cut."""


# By the identifier of the thread. Not a context variable: the watchdog reads it too.
running_requests: dict[int, RunningRequest] = {}


def running_request() -> RunningRequest | None:
    """The request that this thread is at work on; None in a command or a test."""
    return running_requests.get(get_ident())


def acquire_by() -> float:
    """Until when this thread may wait for a connection, beside the acquire time-out."""
    request = running_request()
    by = request.acquire_by if request else None
    return inf if by is None else by
