"""The slow statements and the outages of this process, for the pool page."""

import os
import threading
import time
from collections import deque
from dataclasses import dataclass, field

from database.metrics.redaction import without_values

MAX_STATEMENTS = 30
MAX_OUTAGES = 20
MAX_CAUSES = 3  # of an outage: when a server starts again, the cause changes
TEXT_LENGTH = 500  # characters of a statement or a cause
ROUTE_LENGTH = 100


@dataclass(slots=True)
class SlowStatement:
    database: str
    text: str
    """Without values."""
    count: int
    longest: float
    """Seconds."""
    last: float
    """Seconds that the last one took."""
    last_at: float
    """Seconds since 1970."""
    route: str
    """The request of the last one; "" outside of a request."""


@dataclass(slots=True)
class PastOutage:
    database: str
    began_at: float
    """Seconds since 1970."""
    ended_at: float | None = None
    """None: the outage has not ended."""
    causes: list[str] = field(default_factory=list)

    def add_cause(self, cause: str) -> None:
        """`cause` is libpq's text, which contains no password."""
        cause = cause[:TEXT_LENGTH]
        if cause not in self.causes and len(self.causes) < MAX_CAUSES:
            self.causes.append(cause)


class SlowStatements:
    """The last MAX_STATEMENTS different slow statements."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self._lock = threading.Lock()
        self._statements: dict[tuple[str, str], SlowStatement] = {}

    def note(self, database: str, statement: str, seconds: float, route: str) -> None:
        text = without_values(statement, TEXT_LENGTH)
        now, route = time.time(), route[:ROUTE_LENGTH]
        with self._lock:
            known = self._statements.pop((database, text), None)
            count, longest = (known.count, known.longest) if known else (0, 0.0)
            # At the end of the dict, so that the first one is the oldest.
            self._statements[database, text] = SlowStatement(
                database, text, count + 1, max(longest, seconds), seconds, now, route
            )
            if len(self._statements) > MAX_STATEMENTS:
                del self._statements[next(iter(self._statements))]

    def list(self) -> list[SlowStatement]:
        with self._lock:
            return [*self._statements.values()]


slow_statements = SlowStatements()
outages: deque[PastOutage] = deque(maxlen=MAX_OUTAGES)


def _forget_everything() -> None:
    """In a forked process: its parent reports these events."""
    slow_statements.clear()
    outages.clear()


os.register_at_fork(after_in_child=_forget_everything)
