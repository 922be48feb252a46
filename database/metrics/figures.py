"""The counters, histograms and gauges of the connection layer."""

from collections.abc import Collection
from typing import Protocol

from prometheus_client import Counter, Gauge

from database.background import survive
from database.metrics.histogram import Histogram, flush

# Seconds. Whatever lies between two bounds is known to a factor of 2.5. A connection that is
# there is had within 1 ms, and nobody waits longer than DATABASE_ACQUIRE_TIMEOUT, by default
# 5 s; a statement ends at DATABASE_STATEMENT_TIMEOUT, by default 10 s, and is slow from
# DATABASE_SLOW_QUERY on, by default 200 ms.
_UP_TO_5_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
_UP_TO_10_SECONDS = (*_UP_TO_5_SECONDS, 10)

ACQUIRES = Counter(
    "database_pool_acquires",
    "Connections asked of the pool: ok, timeout, queue_full or closed",
    ["result"],
)
WAIT = Histogram(
    "database_pool_wait_seconds",
    "From asking for a connection to having it, the ping included",
    buckets=_UP_TO_5_SECONDS,
)
USE = Histogram(
    "database_pool_use_seconds",
    "From having a connection to giving it back",
    buckets=_UP_TO_10_SECONDS,
)
STATEMENTS = Histogram(
    "database_statement_seconds",
    "From sending a statement to its result",
    buckets=_UP_TO_10_SECONDS,
)
CONNECTS = Counter("database_connects", "Connections opened")
CONNECT_ERRORS = Counter(
    "database_connect_errors", "Connections that could not be opened, by cause", ["cause"]
)
RECONNECTS = Counter(
    "database_reconnects", "Pools whose idle connections were replaced, because one was broken"
)
LEAKS = Counter(
    "database_pool_leaks",
    "Connections held for too long, or by a thread that died: held or dead_thread",
    ["kind"],
)
HUNG = Counter("database_hung_connections", "Connections cut, because no answer came in time")
RETRIES = Counter(
    "database_request_retries", "Requests run again, because a connection broke or was outdated"
)
REQUESTS = Histogram(
    "http_request_seconds",
    "HTTP requests, from their arrival to their answer",
    ["method", "route", "status"],
    buckets=_UP_TO_10_SECONDS,
)

# A rate can be had of a figure from the second time on that it is read: these start at zero.
for result in ("ok", "timeout", "queue_full", "closed"):
    ACQUIRES.labels(result)
for kind in ("held", "dead_thread"):
    LEAKS.labels(kind)

# The sums over all processes that live.
GAUGES = {
    name: Gauge(f"database_pool_{name}", text, multiprocess_mode="livesum")
    for name, text in {
        "max": "Connections that the pools may open",
        "size": "Connections that are open, or on their way",
        "in_use": "Connections that are out",
        "idle": "Connections that are ready",
        "waiting": "Requests that wait for a connection",
    }.items()
}


class Pool(Protocol):
    @property
    def in_use(self) -> int: ...
    def get_stats(self) -> dict[str, int]: ...


def sample(pools: Collection[Pool]) -> None:
    """Set the gauges to the sums over these pools, and add up what was observed; to be called
    once a second. A pool that raises is left out."""
    stats = [figures for pool in pools if (figures := survive(pool.get_stats))]
    GAUGES["max"].set(sum(each["pool_max"] for each in stats))
    GAUGES["size"].set(sum(each["pool_size"] for each in stats))
    GAUGES["in_use"].set(sum(pool.in_use for pool in pools))
    GAUGES["idle"].set(sum(each["pool_available"] for each in stats))
    GAUGES["waiting"].set(sum(each["requests_waiting"] for each in stats))
    flush()
