"""Which connections are checked out, by which thread, and where in the code."""

import sys
import threading
import traceback
import weakref
from math import inf
from time import monotonic
from types import CodeType, FrameType
from typing import Any, Protocol, Self

from database.backend.running import running_request
from database.settings import Limits

# A stored stack ends at Django's function that calls the view: the callers of that function are
# middleware, the same for all requests. It has at most MAX_FRAMES frames.
VIEW_CALLER = "_get_response"
MAX_FRAMES = 40


class Connection(Protocol):
    """What this module and the watchdog need of a connection."""

    alias: str
    limits: Limits
    answered_at: float

    @property
    def is_waiting(self) -> bool: ...
    def cut(self) -> None: ...
    def close(self) -> None: ...


class Pool(Protocol):
    def reclaim(self, connection: Any) -> None: ...


class Wrapper(Protocol):
    """Django's object around a connection. Only the thread that made the object may use it, unless
    `allow_thread_sharing` is set."""

    thread: threading.Thread

    @property
    def allow_thread_sharing(self) -> bool: ...


class Checkout:
    """A connection that a thread holds, from a pool or without one."""

    __slots__ = (
        "_frames",
        "connection",
        "cut",
        "leak_after",
        "patience",
        "pool",
        "reported",
        "since",
        "thread",
        "wrapper",
    )

    def __init__(self, connection: Connection, pool: Pool | None) -> None:
        self.connection = connection
        self.pool = pool
        self.since = monotonic()
        self.thread = threading.current_thread()
        self.wrapper: weakref.ref[Wrapper] | None = None
        self.cut = self.reported = False
        # Seconds that a read waits for an answer. Then the connection is cut, so that another
        # server can serve the read.
        self.patience = inf
        # Connections without a pool, and those of commands, are meant to be kept.
        is_command = self.thread is threading.main_thread() and running_request() is None
        kept = pool is None or is_command
        self.leak_after = inf if kept else connection.limits.leak_warning
        # Code and positions only: frames would keep the variables of the request alive.
        self._frames: list[tuple[CodeType, int]] = []
        frame: FrameType | None = sys._getframe(1)
        for _ in range(MAX_FRAMES):
            if frame is None:
                break
            code = frame.f_code
            self._frames.append((code, frame.f_lasti))
            if code.co_name == VIEW_CALLER:
                break
            frame = frame.f_back

    def begin(self) -> Self:
        checked_out[id(self.connection)] = self
        return self

    def is_silent(self, now: float) -> bool:
        """Whether the server takes longer to answer than the read waits.

        The time between two statements counts too. But the watchdog sees only statements that take
        longer than its TICK, so a request that computes for long is rarely cut.
        """
        answered_at = max(self.since, self.connection.answered_at)
        return self.connection.is_waiting and now - answered_at >= self.patience

    def is_abandoned(self, alive: set[threading.Thread]) -> bool:
        """Whether no thread can use the connection; `alive` are the threads that run."""
        wrapper = self.wrapper() if self.wrapper else None
        if wrapper is None:
            return self.thread not in alive
        return wrapper.thread not in alive and not wrapper.allow_thread_sharing

    def places(self) -> list[tuple[str, int, str]]:
        """The file, line and function of each stored frame, the innermost first."""
        return [
            (code.co_filename, _line(code, position), code.co_name)
            for code, position in self._frames
        ]

    def stack(self) -> str:
        """The traceback of the code that checked the connection out."""
        frames = [traceback.FrameSummary(*place) for place in reversed(self.places())]
        return "".join(traceback.StackSummary.from_list(frames).format())


# The checked-out connections of this process, by id().
checked_out: dict[int, Checkout] = {}


def where_it_is(thread: threading.Thread) -> str:
    """The traceback of a thread at this moment."""
    frame = sys._current_frames().get(thread.ident or 0)
    return "".join(traceback.format_stack(frame)) if frame else "  the thread has ended\n"


def _line(code: CodeType, position: int) -> int:
    # co_lines() gives a line for each range of instruction positions.
    for start, end, line in code.co_lines():
        if start <= position < end:
            return line or code.co_firstlineno
    return code.co_firstlineno
