"""What a pool needs while nobody uses it.

psycopg looks at the age of a connection when it is given back, and at its health when it is
taken: an idle pool keeps what a restart has broken, and what should have been closed an hour
ago, until the next request finds it.
"""

import threading
import time
import weakref
from time import monotonic
from typing import TYPE_CHECKING

from database import metrics

if TYPE_CHECKING:
    from database.backend.pool import Pool

SAMPLE_INTERVAL = 1.0  # seconds: how old the gauges may be
CHECK_INTERVAL = 10.0  # seconds: a ping for each idle connection, 0.1 ms each

_pools: "weakref.WeakSet[Pool]" = weakref.WeakSet()
_lock = threading.Lock()
_thread: threading.Thread | None = None


def look_after(pool: "Pool") -> None:
    """Check the pool's idle connections from time to time, until it is closed."""
    with _lock:
        _pools.add(pool)
    _start()


def forget_everything() -> None:
    """In a process that was forked: its pools are gone, and threads are not forked."""
    global _thread, _lock
    _thread, _lock = None, threading.Lock()
    _pools.clear()


def _start() -> None:
    global _thread
    with _lock:
        if _thread is None or not _thread.is_alive():
            _thread = threading.Thread(target=_run, name="database-housekeeper", daemon=True)
            _thread.start()


def _run() -> None:
    checked_at: weakref.WeakKeyDictionary[Pool, float] = weakref.WeakKeyDictionary()
    while True:
        time.sleep(SAMPLE_INTERVAL)
        with _lock:
            pools = [pool for pool in _pools if not pool.closed]
        metrics.sample(pools)
        for pool in pools:
            if monotonic() - checked_at.setdefault(pool, monotonic()) >= _interval(pool):
                # Each is bounded by the ping time-out; a client that comes meanwhile waits
                # for the first that has answered.
                pool.check()
                checked_at[pool] = monotonic()


def _interval(pool: "Pool") -> float:
    return min(CHECK_INTERVAL, pool.max_lifetime / 2)
