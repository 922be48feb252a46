"""What a pool needs while nobody uses it.

psycopg looks at the age of a connection when it is given back, and at its health when it is
taken: an idle pool keeps what a restart has broken, and what should have been closed an hour
ago, until the next request finds it.
"""

import threading
import time
import weakref
from time import monotonic
from typing import Protocol

from database import metrics
from database.background import BackgroundThread, survive

SAMPLE_INTERVAL = 1.0  # seconds: how old the gauges may be
CHECK_INTERVAL = 10.0  # seconds: a ping for each idle connection, 0.1 ms each


class Pool(Protocol):
    """What housekeeping needs of a pool."""

    alias: str
    max_lifetime: float

    @property
    def closed(self) -> bool: ...
    @property
    def in_use(self) -> int: ...
    def get_stats(self) -> dict[str, int]: ...
    def check(self) -> None: ...


_pools: "weakref.WeakSet[Pool]" = weakref.WeakSet()
_lock = threading.Lock()


def look_after(pool: Pool) -> None:
    """Check the pool's idle connections from time to time, until it is closed."""
    with _lock:
        _pools.add(pool)
    ensure_running()


def forget_everything() -> None:
    """In a process that was forked: its pools are gone, and threads are not forked."""
    global _thread, _lock
    _thread, _lock = BackgroundThread("database-housekeeper", _run), threading.Lock()
    _pools.clear()


def ensure_running() -> None:
    """Start the thread, unless it runs: it is replaced if it has ended."""
    _thread.ensure_running()


def _run() -> None:
    checked_at: weakref.WeakKeyDictionary[Pool, float] = weakref.WeakKeyDictionary()
    while True:
        time.sleep(SAMPLE_INTERVAL)
        survive(_look_at_all, checked_at)


def _look_at_all(checked_at: "weakref.WeakKeyDictionary[Pool, float]") -> None:
    with _lock:
        pools = [pool for pool in _pools if not pool.closed]
    survive(metrics.sample, pools)
    for pool in pools:
        now = monotonic()
        if now - checked_at.setdefault(pool, now) >= _interval(pool):
            checked_at[pool] = now
            # Each ping is bounded by the ping time-out; a client that comes meanwhile waits
            # for the first connection that has answered.
            survive(pool.check)


def _interval(pool: Pool) -> float:
    return min(CHECK_INTERVAL, pool.max_lifetime / 2)


_thread = BackgroundThread("database-housekeeper", _run)
