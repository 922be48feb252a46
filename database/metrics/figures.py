"""What the layer counts and measures, and the page where Prometheus reads it.

A server has several processes. Where PROMETHEUS_MULTIPROC_DIR is set, each of them keeps its
figures in files there, and the page adds up all of them, whichever process it is asked of.
prometheus_client decides that when it is imported, so it must be set before this module is.
"""

import ipaddress
import os
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from time import monotonic
from typing import Protocol

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden
from django.http.response import HttpResponseBase
from django.utils.crypto import constant_time_compare
from django.views.decorators.http import require_safe
from prometheus_client import (
    CONTENT_TYPE_PLAIN_0_0_4,
    REGISTRY,
    Counter,
    Gauge,
    Metric,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from database import rundir
from database.background import survive
from database.metrics.histogram import Histogram, flush

_FOLDER = os.environ.get(rundir.VARIABLE)

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


# --- Requests ------------------------------------------------------------------------

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

# The series are few and the requests many: a child is looked up in 0.1 µs.
_requests = cache(REQUESTS.labels)


def measured(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Middleware: how long each request takes, by method, route and status.

    A client can't make up a new series: whatever no route knows is "unrouted", static files
    included, and a method of nobody's is "other".
    """

    def measure(request: HttpRequest) -> HttpResponseBase:
        started = monotonic()
        response = get_response(request)
        method = request.method if request.method in _METHODS else "other"
        match = request.resolver_match
        route = (match.route or "/") if match else "unrouted"
        _requests(method, route, response.status_code).observe(monotonic() - started)
        return response

    return measure


# --- The page ------------------------------------------------------------------------


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """The figures of every process of this server, in Prometheus' text format."""
    if not may_see(request):
        # Not a 404: that there is such a page is no secret, and whoever runs the scraper
        # looks for the reason where it is shown.
        words = "Ask with METRICS_TOKEN as a bearer token; without one, on this machine.\n"
        return HttpResponseForbidden(words, content_type="text/plain")
    figures = AllProcesses(Path(_FOLDER)) if _FOLDER else REGISTRY
    return HttpResponse(generate_latest(figures), content_type=CONTENT_TYPE_PLAIN_0_0_4)


def may_see(request: HttpRequest) -> bool:
    """Whether this request may be told how the server is: it brings METRICS_TOKEN; or none is
    set, and it comes from this machine, and not through a proxy that says so."""
    token = settings.METRICS_TOKEN
    if token:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        return scheme.lower() == "bearer" and constant_time_compare(given.strip(), token)
    proxied = any(
        name in ("Forwarded", "Via", "X-Real-Ip") or name.startswith("X-Forwarded-")
        for name in request.headers
    )
    return not proxied and _is_this_machine(request.META.get("REMOTE_ADDR", ""))


def _is_this_machine(address: str) -> bool:
    if not address:  # a unix socket
        return True
    with suppress(ValueError):
        ip = ipaddress.ip_address(address)
        # ::ffff:127.0.0.1, where the server listens on every address.
        return (getattr(ip, "ipv4_mapped", None) or ip).is_loopback
    return False


class AllProcesses(Collector):
    """What the processes that share this folder have counted, and what the living ones show."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        _forget_the_dead(self._folder)
        # Not prometheus_client's own way to find the files, which fails for one that a process
        # has opened this moment and not yet filled.
        files = [str(file) for file in self._folder.glob("*.db") if _size(file)]
        figures: Iterable[Metric] = MultiProcessCollector.merge(files)
        return figures


def _size(file: Path) -> int:
    with suppress(FileNotFoundError):  # another process has forgotten a dead one
        return file.stat().st_size
    return 0


def _forget_the_dead(folder: Path) -> None:
    """Remove the gauges of processes that have ended, however they did; what they have
    counted stays. One whose number another process has by now is taken for alive."""
    for file in folder.glob("gauge_live*.db"):
        pid = int(file.stem.rpartition("_")[2])
        if not _lives(pid):
            with suppress(FileNotFoundError):  # another process is asked at the same time
                mark_process_dead(pid, folder)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody's: the number is in use
        return True
    return True
