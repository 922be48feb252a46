"""The thread that checks idle connections and samples the gauges.

psycopg checks the age of a connection when it is returned, and its health when it is checked out.
So an idle pool would keep broken and expired connections until the next request finds them.
"""

import threading
import time
import weakref
from time import monotonic
from typing import Protocol

from database import metrics
from database.background import BackgroundThread, survive

SAMPLE_INTERVAL = 1.0  # seconds: how old the gauges may be
CHECK_INTERVAL = 10.0  # seconds between two pings of an idle connection, which take 0.1 ms


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
    """Check the idle connections of the pool regularly, until it is closed."""
    with _lock:
        _pools.add(pool)
    ensure_running()


def forget_everything() -> None:
    """After a fork, in the child: it does not have the parent's pools."""
    global _lock
    _lock = threading.Lock()
    _pools.clear()


def ensure_running() -> None:
    """Start the thread unless it runs."""
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
            # Each ping is bounded by the ping timeout. A request that arrives meanwhile waits for
            # the first connection that has answered.
            survive(pool.check)


def _interval(pool: Pool) -> float:
    return min(CHECK_INTERVAL, pool.max_lifetime / 2)


_thread = BackgroundThread("database-housekeeper", _run)
