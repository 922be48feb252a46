"""The metrics of the servers of a database, if reads use all of them.

The label "database" of a server has its address, as that of its pool: "default@host:port".
"""

from prometheus_client import Counter, Gauge

# A fault that one process of the machine sees counts: the processes may see different ones.
SERVER_ANSWERS = Gauge(
    "database_server_answers",
    "Whether the server answers (1) or not (0)",
    ["database"],
    multiprocess_mode="livemin",
)
SERVER_IS_PRIMARY = Gauge(
    "database_server_is_primary",
    "Whether the server is the primary (1) or not (0)",
    ["database"],
    multiprocess_mode="livemax",
)
SERVER_LAG_BYTES = Gauge(
    "database_server_lag_bytes",
    "Bytes of the write-ahead log that the server has not replayed",
    ["database"],
    multiprocess_mode="livemax",
)
SERVER_LAG_SECONDS = Gauge(
    "database_server_lag_seconds",
    "Seconds for which the server has lacked a part of the write-ahead log",
    ["database"],
    multiprocess_mode="livemax",
)
LEASE_ALIVE = Gauge(
    "database_lease_alive",
    "Whether reads may use standbys (1), or the position in Redis is not certain (0)",
    ["database"],
    multiprocess_mode="livemin",
)
PRIMARY_READS = Counter(
    "database_primary_reads",
    "Reads that used the primary: no_lease, standbys_behind (or busy) or no_standby",
    ["database", "reason"],
)
RERUN_READS = Counter(
    "database_rerun_reads",
    "Reads that failed on one server and were run again on another: cut, conflict, read_only, lost",
    ["database", "reason"],
)
_PRIMARY_READ_REASONS = ("no_lease", "standbys_behind", "no_standby")
_RERUN_REASONS = ("cut", "conflict", "read_only", "lost")


def start_reads_at_zero(database: str) -> None:
    """Create the counters of a database at 0: Prometheus' rate() needs two samples of a series."""
    for reason in _PRIMARY_READ_REASONS:
        PRIMARY_READS.labels(database, reason)
    for reason in _RERUN_REASONS:
        RERUN_READS.labels(database, reason)


def set_server(
    server: str, *, answers: bool, is_primary: bool, lag_bytes: int, lag_seconds: float
) -> None:
    """Set the gauges of one server."""
    SERVER_ANSWERS.labels(server).set(answers)
    SERVER_IS_PRIMARY.labels(server).set(is_primary)
    SERVER_LAG_BYTES.labels(server).set(lag_bytes)
    SERVER_LAG_SECONDS.labels(server).set(lag_seconds)
