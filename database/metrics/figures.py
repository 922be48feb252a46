"""The counters, histograms and gauges of the connection layer."""

from collections.abc import Collection
from typing import Protocol

from prometheus_client import Counter, Gauge

from database.background import survive
from database.metrics.histogram import Histogram, flush

# Seconds, each at most 2.5 times the one before. The bounds reach from the checkout of an idle
# connection (1 ms) to the default DATABASE_ACQUIRE_TIMEOUT (5 s) and DATABASE_STATEMENT_TIMEOUT
# (10 s).
WAIT_BOUNDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
_UP_TO_10_SECONDS = (*WAIT_BOUNDS, 10)

ACQUIRES = Counter(
    "database_pool_acquires",
    "Connections requested from the pool: ok, timeout, queue_full or closed",
    ["database", "result"],
)
WAIT = Histogram(
    "database_pool_wait_seconds",
    "Seconds from the request for a connection to its checkout, with the ping",
    ["database"],
    buckets=WAIT_BOUNDS,
)
USE = Histogram(
    "database_pool_use_seconds",
    "Seconds from the checkout of a connection to its return",
    ["database"],
    buckets=_UP_TO_10_SECONDS,
)
STATEMENTS = Histogram(
    "database_statement_seconds",
    "Seconds from sending a statement to its result",
    ["database"],
    buckets=_UP_TO_10_SECONDS,
)
CONNECTS = Counter("database_connects", "Connections opened", ["database"])
CONNECT_ERRORS = Counter(
    "database_connect_errors",
    "Connections that could not be opened, by cause",
    ["database", "cause"],
)
RECONNECTS = Counter(
    "database_reconnects",
    "Replacements of all idle connections of a pool, because one was broken",
    ["database"],
)
LEAKS = Counter(
    "database_pool_leaks",
    "Connections held longer than DATABASE_LEAK_WARNING, or by a dead thread: held or dead_thread",
    ["database", "kind"],
)
HUNG = Counter(
    "database_hung_connections", "Connections cut because no answer came in time", ["database"]
)
RETRIES = Counter(
    "database_request_retries",
    "Requests retried after a broken connection or a stale prepared statement",
)
REQUESTS = Histogram(
    "http_request_seconds",
    "Seconds from the arrival of an HTTP request to its response",
    ["method", "route", "status"],
    buckets=_UP_TO_10_SECONDS,
)

# Sums over all running processes.
GAUGES = {
    name: Gauge(f"database_pool_{name}", text, ["database"], multiprocess_mode="livesum")
    for name, text in {
        "max": "Maximum number of connections",
        "size": "Connections open or being opened",
        "in_use": "Connections checked out",
        "idle": "Connections open and not in use",
        "waiting": "Requests waiting for a connection",
    }.items()
}


def start_at_zero(database: str, *, causes: Collection[str]) -> None:
    """Create the series of a database at 0: Prometheus' rate() needs two samples of a series.

    `causes` are the values of the label "cause".
    """
    for cause in causes:
        CONNECT_ERRORS.labels(database, cause)
    for result in ("ok", "timeout", "queue_full", "closed"):
        ACQUIRES.labels(database, result)
    for kind in ("held", "dead_thread"):
        LEAKS.labels(database, kind)
    for series in (WAIT, USE, STATEMENTS, CONNECTS, RECONNECTS, HUNG, *GAUGES.values()):
        series.labels(database)


class Pool(Protocol):
    @property
    def alias(self) -> str: ...
    @property
    def in_use(self) -> int: ...
    def get_stats(self) -> dict[str, int]: ...


def sample(pools: Collection[Pool]) -> None:
    """Set the gauges to the sums over the pools of each database, and flush the histograms.

    Call it once a second. A pool that raises is logged and skipped.
    """
    sums = dict.fromkeys(_sampled, 0)  # a database whose pool is gone gets 0
    for pool in pools:
        for name, figure in (survive(pool_figures, pool) or {}).items():
            sums[name, pool.alias] = sums.get((name, pool.alias), 0) + figure
    for (name, database), figure in sums.items():
        GAUGES[name].labels(database).set(figure)
    _sampled.update(sums)
    flush()


_sampled: set[tuple[str, str]] = set()  # (name of the gauge, alias of the database)


def pool_figures(pool: Pool) -> dict[str, int]:
    """The values of the gauges for one pool."""
    stats = pool.get_stats()
    return {
        "max": stats["pool_max"],
        "size": stats["pool_size"],
        "in_use": pool.in_use,
        "idle": stats["pool_available"],
        "waiting": stats["requests_waiting"],
    }
