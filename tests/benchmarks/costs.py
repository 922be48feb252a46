"""What a request costs: time, CPU time and server connections; and what an outage costs.

Every subject is a production server of its own over a PostgreSQL of its own, so that the CPU
time of one is not mixed with that of another. Another machine has other figures; what two
subjects have in one run can be compared.
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


class Cost(NamedTuple):
    """What one round came to."""

    rate: float
    """Requests a second."""
    cpu: float
    """Microseconds of CPU time a request, of the server and of PostgreSQL."""
    connections: int
    """The most sessions that the server had at one time."""


@contextmanager
def ours(mode: str = "pool", workers: int = 1) -> Iterator[Subject]:
    """This project's backend; `mode` as in DATABASE_CONNECTIONS."""
    # Without autovacuum, which would come when it likes.
    with migrated(autovacuum="off") as postgresql:
        variables = {"DATABASE_CONNECTIONS": mode}
        with application.serving(postgresql.url(), variables, workers=workers) as site:
            yield Subject(postgresql, site)


@contextmanager
def stock() -> Iterator[Subject]:
    """Django's own pool, with its check, in the same server."""

    def command(port: int) -> list[str]:
        size = ["--workers=1", f"--threads={application.THREADS}"]
        return [sys.executable, "-m", "database.server", STOCK, f"--port={port}", *size]

    with (
        migrated(autovacuum="off") as postgresql,
        application.serving(postgresql.url(), command=command) as site,
    ):
        yield Subject(postgresql, site)


def interleaved(
    subjects: Mapping[str, Subject], rounds: int, seconds: int
) -> dict[str, list[Cost]]:
    """Rounds of so many seconds, one subject after the other: A B A B, so that both suffer
    alike from what else the machine does. A first round of each, which warms up, is not kept.
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
    """Ask for `SELECT 1` for so many seconds; every answer must be a success."""
    before = _cpu(subject)
    with _sessions(subject.postgresql) as sessions:
        outcome = ask(subject.site.port, PATH, seconds=seconds, clients=CLIENTS)
    cpu = _cpu(subject) - before
    return Cost(outcome.rate, cpu / outcome.requests * 1_000_000, max(sessions))


def recovery(subject: Subject, seconds: float) -> float:
    """Stop PostgreSQL for so many seconds, under load; return how many seconds after it
    accepts connections again the first request succeeds."""
    with load(subject.site.port, 8, reading(PATH), pause=0.05) as replies:
        wait_until(lambda: first_success(replies, 0) < math.inf, "the load has begun")
        subject.postgresql.stop()
        time.sleep(seconds)
        back = subject.postgresql.start()
        wait_until(lambda: first_success(replies, back) < math.inf, "a success", seconds=60)
    return first_success(replies, back)


@contextmanager
def _sessions(postgresql: PostgreSQL) -> Iterator[list[int]]:
    """How many sessions there are, every 100 ms."""
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
    return cpu_with(subject.postgresql, subject.site.process.pid)


def cpu_with(postgresql: PostgreSQL, pid: int) -> float:
    """The CPU time that a server and PostgreSQL have taken up to now, in seconds."""
    postmaster = (postgresql.folder / "data/postmaster.pid").read_text().split()[0]
    return _cpu_of(str(pid)) + _cpu_of(postmaster)


def _cpu_of(pid: str) -> float:
    """User and system time of a process and of all that it has started."""
    process = Path("/proc", pid)
    seconds = 0.0
    with suppress(FileNotFoundError, ProcessLookupError):  # it ends: its parent has its time
        for children in process.glob("task/*/children"):
            seconds += sum(map(_cpu_of, children.read_text().split()))
        # Its own, and last, so that it has them, those of children that have ended: proc(5).
        fields = (process / "stat").read_text().rpartition(")")[2].split()
        seconds += sum(map(int, fields[11:15])) / TICKS
    return seconds
