"""What is counted and measured, and the page where Prometheus reads it.

A server has several processes. Where PROMETHEUS_MULTIPROC_DIR is set, each process keeps its
figures in files there, and the page of any process adds up the files of all. prometheus_client
reads the variable when it is imported, so the variable must be set before this room is imported.
"""

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
    sample,
    start_at_zero,
)
from database.metrics.histogram import flush
from database.metrics.page import may_see, metrics
from database.metrics.timing import metrics_middleware

__all__ = [
    "ACQUIRES",
    "CONNECTS",
    "CONNECT_ERRORS",
    "GAUGES",
    "HUNG",
    "LEAKS",
    "RECONNECTS",
    "REQUESTS",
    "RETRIES",
    "STATEMENTS",
    "USE",
    "WAIT",
    "flush",
    "may_see",
    "metrics",
    "metrics_middleware",
    "sample",
    "start_at_zero",
]
