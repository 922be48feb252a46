"""The metrics of the connection layer and of requests, and their page for Prometheus.

If PROMETHEUS_MULTIPROC_DIR is set, each process of a server writes its figures to files there, and
/metrics adds up the files of all processes. prometheus_client reads the variable when it is
imported, so set it before this package is imported.
"""

from database.metrics.events import PastOutage, outages, slow_statements
from database.metrics.figures import (
    ACQUIRES,
    CONNECT_ERRORS,
    CONNECTS,
    GAUGES,
    HUNG,
    LEAKS,
    RECONNECTS,
    REQUESTS,
    RETRIES,
    STATEMENTS,
    USE,
    WAIT,
    pool_figures,
    sample,
    start_at_zero,
)
from database.metrics.histogram import flush
from database.metrics.history import (
    REFUSALS,
    SECONDS,
    History,
    PoolState,
    Second,
    bucket_of_quantile,
    parse_second,
)
from database.metrics.page import may_read_metrics, metrics
from database.metrics.processes import is_running
from database.metrics.servers import (
    LEASE_ALIVE,
    PRIMARY_READS,
    RERUN_READS,
    SERVER_ANSWERS,
    SERVER_IS_PRIMARY,
    SERVER_LAG_BYTES,
    SERVER_LAG_SECONDS,
    set_server,
    start_reads_at_zero,
)
from database.metrics.timing import count_request, metrics_middleware

__all__ = [
    "ACQUIRES",
    "CONNECTS",
    "CONNECT_ERRORS",
    "GAUGES",
    "HUNG",
    "LEAKS",
    "LEASE_ALIVE",
    "PRIMARY_READS",
    "RECONNECTS",
    "REFUSALS",
    "REQUESTS",
    "RERUN_READS",
    "RETRIES",
    "SECONDS",
    "SERVER_ANSWERS",
    "SERVER_IS_PRIMARY",
    "SERVER_LAG_BYTES",
    "SERVER_LAG_SECONDS",
    "STATEMENTS",
    "USE",
    "WAIT",
    "History",
    "PastOutage",
    "PoolState",
    "Second",
    "bucket_of_quantile",
    "count_request",
    "flush",
    "is_running",
    "may_read_metrics",
    "metrics",
    "metrics_middleware",
    "outages",
    "parse_second",
    "pool_figures",
    "sample",
    "set_server",
    "slow_statements",
    "start_at_zero",
    "start_reads_at_zero",
]
