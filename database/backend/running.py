"""The request that each thread is running, as the connection layer sees it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from threading import get_ident
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from database.positions import RedisSession


class Node(Protocol):
    """A server that reads may use (`nodes.py`)."""

    def failed(self) -> None: ...
    def has_answered(self, seconds: float) -> bool: ...


class Unrecorded(Protocol):
    """A commit that reads on other servers may not see yet (`recording.py`)."""

    def wait(self) -> bool: ...


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
    reads_replicas: bool = False
    """Whether it reads only, and may use any server of the database."""
    writes: bool = False
    """Whether its answer may tell of a write: its own, or one of another request that it has seen
    on the primary."""
    unrecorded: list[Unrecorded] = field(default_factory=list)
    """Its commits that reads on other servers may not see yet."""
    wrote: bool = False
    """Whether one of its statements may have written."""
    was_cut_early: bool = False
    """Whether a try was cut at the replica timeout, to be run again on another server."""
    is_last_try: bool = False
    """Whether no other try follows if this one fails."""
    questions: "dict[str, RedisSession]" = field(default_factory=dict)
    """The connections to Redis on which it has asked for the position, and has not fetched the
    answer yet, by the alias of the database."""
    nodes: dict[str, Node] = field(default_factory=dict)
    """The server that served the last try, by the alias of the database."""
    failed_nodes: tuple[Node, ...] = ()
    """The servers that have failed for it."""
    needs_primary: bool = False
    """Whether a standby has refused it."""


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
