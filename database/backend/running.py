"""The request that each thread is running, as the connection layer sees it."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from threading import get_ident


@dataclass(slots=True)
class RunningRequest:
    route: Callable[[], str]
    """Returns the name of the request for the log. Called only when there is something to log."""
    deadline: float
    """When its connection is cut (`time.monotonic()`)."""
    no_ping_until: float = -inf
    """Until when the pool may lend a connection without a ping; -inf for a write or a retry."""
    acquire_by: float | None = None
    """Until when a retry may wait for a connection; None in the first try."""
    cut: bool = False
    """Whether its connection was cut at the deadline."""


# By the identifier of the thread. Not a context variable, because the watchdog's thread reads it.
running_requests: dict[int, RunningRequest] = {}


def running_request() -> RunningRequest | None:
    """The request of this thread; None in a command or a test."""
    return running_requests.get(get_ident())


def acquire_by() -> float:
    """Until when a retry in this thread may wait for a connection; infinite in a first try."""
    request = running_request()
    by = request.acquire_by if request else None
    return inf if by is None else by
