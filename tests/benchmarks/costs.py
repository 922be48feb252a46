"""The costs of a request (time, CPU time, server connections) and of an outage.

Every subject is a production server with its own PostgreSQL, so that their CPU times are
separate. The figures depend on the machine; compare only subjects of one run.
"""

import math
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import NamedTuple

from tests.benchmarks.generator import ask
from tests.database import application
from tests.database.application import Application
from tests.database.load import first_success, load, reading
from tests.database.servers import CLIENTS as SESSIONS
from tests.database.servers import OBSERVER, PostgreSQL, migrated, wait_until

PATH = "/api/test/select-1"
STOCK = "tests.database.site.stock_wsgi.application"
CLIENTS = 32  # as many as the server has threads
TICKS = os.sysconf("SC_CLK_TCK")  # a second, in /proc


class Subject(NamedTuple):
    postgresql: PostgreSQL
    site: Application


class Cpu(NamedTuple):
    """CPU time in seconds."""

    server: float
    postgresql: float

    def __sub__(self, earlier: "Cpu") -> "Cpu":
        return Cpu(self.server - earlier.server, self.postgresql - earlier.postgresql)


class Cost(NamedTuple):
    """The result of one round."""

    rate: float
    """Requests a second."""
    cpu: float
    """CPU time of the server and of PostgreSQL for each request, in microseconds."""
    connections: int
    """The largest number of sessions that the server had at the same time."""


@contextmanager
def this_backend(mode: str = "pool", workers: int = 1, access_log: str = "on") -> Iterator[Subject]:
    """This project's backend; `mode` as in DATABASE_CONNECTIONS.

    Turn the access log off to compare with `django_pool`, which has none.
    """
    # Autovacuum would run at unpredictable times.
    with migrated(autovacuum="off") as postgresql:
        variables = {"DATABASE_CONNECTIONS": mode, "ACCESS_LOG": access_log}
        with application.serving(postgresql.url(), variables, workers=workers) as site:
            yield Subject(postgresql, site)


@contextmanager
def django_pool() -> Iterator[Subject]:
    """Django's pool, with its check of connections, in the same server."""

    def command(port: int) -> list[str]:
        size = ["--workers=1", f"--threads={application.THREADS}"]
        return [sys.executable, "-m", "database.server", STOCK, f"--port={port}", *size]

    with (
        migrated(autovacuum="off") as postgresql,
        application.serving(postgresql.url(), command=command) as site,
    ):
        yield Subject(postgresql, site)


def measure_interleaved(
    subjects: Mapping[str, Subject], rounds: int, seconds: int
) -> dict[str, list[Cost]]:
    """Measure rounds of `seconds`, with the subjects in turn: A B A B.

    Other load on the machine then affects all subjects equally. A first round of each subject
    warms up and is not counted.
    """
    costs: dict[str, list[Cost]] = {name: [] for name in subjects}
    for subject in subjects.values():
        measure(subject, seconds)
    for _ in range(rounds):
        for name, subject in subjects.items():
            costs[name].append(measure(subject, seconds))
    return costs


def median_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> float:
    """The median of the ratios of each round."""
    return median(a / b for a, b in zip(numerators, denominators, strict=True))


def measure(subject: Subject, seconds: int) -> Cost:
    """Request `SELECT 1` for `seconds`; every answer must be a success."""
    before = _cpu(subject)
    with _sessions(subject.postgresql) as sessions:
        outcome = ask(subject.site.port, PATH, seconds=seconds, clients=CLIENTS)
    cpu = _cpu(subject) - before
    return Cost(outcome.rate, cpu / outcome.requests * 1_000_000, max(sessions))


def recovery(subject: Subject, seconds: float) -> float:
    """Stop PostgreSQL for `seconds` under load.

    Returns the seconds from its return (it accepts connections) to the first successful request.
    """
    with load(subject.site.port, 8, reading(PATH), pause=0.05) as replies:
        wait_until(lambda: first_success(replies, 0) < math.inf, "the load has begun")
        subject.postgresql.stop()
        time.sleep(seconds)
        back = subject.postgresql.start()
        wait_until(lambda: first_success(replies, back) < math.inf, "a success", seconds=60)
    return first_success(replies, back)


@contextmanager
def _sessions(postgresql: PostgreSQL) -> Iterator[list[int]]:
    """The numbers of sessions, counted every 100 ms."""
    counts: list[int] = []
    stopped = threading.Event()

    def count() -> None:
        with postgresql.session() as observer:
            while not stopped.wait(0.1):
                counts.append(len(observer.execute(SESSIONS, [OBSERVER]).fetchall()))

    thread = threading.Thread(target=count)
    thread.start()
    try:
        yield counts
    finally:
        stopped.set()
        thread.join()


def _cpu(subject: Subject) -> float:
    return sum(cpu_with(subject.postgresql, subject.site.process.pid))


def cpu_with(postgresql: PostgreSQL, pid: int) -> Cpu:
    """The CPU time that a server and PostgreSQL have used since their start."""
    postmaster = (postgresql.folder / "data/postmaster.pid").read_text().split()[0]
    return Cpu(cpu_of(str(pid)), cpu_of(postmaster))


def cpu_of(pid: str) -> float:
    """The user and system time of a process and its descendants, in seconds."""
    process = Path("/proc", pid)
    seconds = 0.0
    with suppress(FileNotFoundError, ProcessLookupError):  # it has ended: its parent has its time
        for children in process.glob("task/*/children"):
            seconds += sum(map(cpu_of, children.read_text().split()))
        # The process itself comes last: its fields include children that have ended (proc(5)).
        fields = (process / "stat").read_text().rpartition(")")[2].split()
        seconds += sum(map(int, fields[11:15])) / TICKS
    return seconds
