"""What all processes of this machine's server report about their pools."""

import json
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any

from database import rundir
from database.backend import ServerState
from database.health.report import reporter
from database.health.workers import MALFORMED, Worker, parse, read_workers
from database.metrics import (
    REFUSALS,
    SECONDS,
    PoolState,
    Second,
    bucket_of_quantile,
)

WINDOWS = (60, SECONDS)  # seconds over which the waits are counted
QUANTILES = (0.5, 0.99)
MAX_ROWS = 20  # of each table
_ZERO = PoolState(0, 0, 0, 0)


@dataclass
class Quantile:
    seconds: int
    """The window."""
    quantile: float
    bounds: tuple[float, float | None] | None
    """Seconds between which the value lies. None: no connection was taken in the window."""
    taken: int
    """How many connections were taken in the window."""


@dataclass
class Database:
    """The sums over all processes for one database."""

    alias: str
    now: PoolState
    has_pool: bool
    states: list[PoolState | None]
    """One for each of the last SECONDS seconds, the oldest first; None if nothing is known."""
    refused: list[tuple[int, ...]]
    """Refused requests of each of these seconds, in the order of REFUSALS."""
    waits: list[Quantile]


@dataclass
class Server:
    """A server that reads use, as all processes see it."""

    alias: str
    """Of its pool."""
    state: ServerState
    """As the process with the newest report sees it; its lag is the largest that one sees."""
    answers: int
    """How many processes it answers."""
    processes: int


@dataclass
class Restart:
    """A worker that ended, and was replaced."""

    pid: int
    at: float
    """Seconds since 1970."""
    started_at: float | None
    status: int | None
    """The exit status; negative: the number of the signal that ended it. None: unknown."""
    stopped_normally: bool = False
    """Whether it reported its end."""


@dataclass
class Machine:
    now: float
    """Seconds since 1970."""
    workers: list[Worker]
    databases: list[Database]
    held: list[dict[str, Any]]
    slow: list[dict[str, Any]]
    outages: list[dict[str, Any]]
    servers: list[Server] = field(default_factory=list)
    restarts: list[Restart] = field(default_factory=list)
    is_alone: bool = False
    """Whether only this process is shown, because its server has no shared folder."""

    @property
    def running(self) -> list[Worker]:
        return [worker for worker in self.workers if worker.state != "ended"]


def machine() -> Machine:
    """The reports of all processes of this server. Reads only files, never the database."""
    reporter.ensure_running()
    now, is_alone = time.time(), not rundir.exists()
    workers = [] if is_alone else [*read_workers(now)]
    if os.getpid() not in {worker.pid for worker in workers}:
        # Without a folder, or before the first report.
        workers += filter(None, [parse(reporter.report(), now)])
    whole = add_up(workers, now)
    whole.is_alone = is_alone
    whole.restarts = [] if is_alone else _restarts(workers)
    return whole


def add_up(workers: list[Worker], now: float) -> Machine:
    """The sums over these processes."""
    aliases = sorted({alias for worker in workers for alias in worker.now})
    return Machine(
        now=now,
        workers=workers,
        databases=[_database(alias, workers, int(now)) for alias in aliases],
        held=_held([worker for worker in workers if worker.state != "ended"]),
        slow=_slow(workers),
        outages=_outages(workers),
        servers=[*_servers([worker for worker in workers if worker.state != "ended"])],
    )


def _database(alias: str, workers: list[Worker], now: int) -> Database:
    # The newest second is complete when every process has written it: not the one that runs.
    times = range(now - SECONDS, now)
    by_time = [[each for worker in workers if (each := worker.at(at).get(alias))] for at in times]
    latest = [each for worker in workers if (each := worker.now.get(alias))]
    # A second that a process has skipped repeats its state, but must not repeat its events.
    events = [
        [each for worker in workers if (each := worker.seconds.get(at, {}).get(alias))]
        for at in times
    ]
    return Database(
        alias=alias,
        now=_sum(latest) or _ZERO,
        has_pool=any(each.state.max for each in latest),
        states=[_sum(seconds) for seconds in by_time],
        refused=[
            tuple(sum(each.refused[index] for each in seconds) for index in range(len(REFUSALS)))
            for seconds in events
        ],
        waits=[
            _quantile([each for seconds in events[-window:] for each in seconds], window, quantile)
            for window in WINDOWS
            for quantile in QUANTILES
        ],
    )


def _sum(seconds: Iterable[Second]) -> PoolState | None:
    columns = [*zip(*(each.state for each in seconds), strict=True)]
    return PoolState(*map(sum, columns)) if columns else None


def _quantile(seconds: list[Second], window: int, quantile: float) -> Quantile:
    counts = [sum(each) for each in zip_longest(*(one.waits for one in seconds), fillvalue=0)]
    return Quantile(window, quantile, bucket_of_quantile(counts, quantile), sum(counts))


def _servers(workers: list[Worker]) -> Iterator[Server]:
    for alias in sorted({alias for worker in workers for alias in worker.servers}):
        seen = [worker for worker in workers if alias in worker.servers]
        states = [worker.servers[alias] for worker in seen]
        newest = max(seen, key=lambda worker: worker.written_at).servers[alias]
        state = replace(
            newest,
            lag_bytes=max(each.lag_bytes for each in states),
            lag_seconds=max(each.lag_seconds for each in states),
        )
        yield Server(alias, state, sum(each.answers for each in states), len(states))


def _held(workers: list[Worker]) -> list[dict[str, Any]]:
    held = [each for worker in workers for each in worker.held]
    return sorted(held, key=lambda each: -each["seconds"])[:MAX_ROWS]


def _slow(workers: list[Worker]) -> list[dict[str, Any]]:
    """The slow statements, with the counts of all processes, the newest first."""
    merged: dict[tuple[str, str], dict[str, Any]] = {}
    counts: Counter[tuple[str, str]] = Counter()
    longest: dict[tuple[str, str], float] = {}
    for each in (each for worker in workers for each in worker.slow):
        key = (each["database"], each["text"])
        counts[key] += each["count"]
        longest[key] = max(longest.get(key, 0), each["longest"])
        if key not in merged or each["last_at"] > merged[key]["last_at"]:
            merged[key] = each
    rows = [{**each, "count": counts[key], "longest": longest[key]} for key, each in merged.items()]
    return sorted(rows, key=lambda row: -row["last_at"])[:MAX_ROWS]


def _outages(workers: list[Worker]) -> list[dict[str, Any]]:
    """The outages, the newest first. Outages of several processes that overlap are one."""
    outages: list[dict[str, Any]] = []
    every = []
    for worker in workers:
        for each in worker.outages:
            # A process that was killed during an outage cannot report its end.
            ended_at = worker.written_at if worker.state == "ended" else None
            every.append({**each, "ended_at": each["ended_at"] or ended_at, "processes": 1})
    for each in sorted(every, key=lambda outage: outage["began_at"]):
        same = next((one for one in outages if _overlap(one, each)), None)
        if same is None:
            outages.append(each)
            continue
        ends = (same["ended_at"], each["ended_at"])
        same["ended_at"] = None if None in ends else max(ends)
        same["causes"] = [*dict.fromkeys([*same["causes"], *each["causes"]])]
        same["processes"] += 1
    return outages[::-1][:MAX_ROWS]


def _overlap(one: dict[str, Any], later: dict[str, Any]) -> bool:
    ended_at = one["ended_at"]
    return one["database"] == later["database"] and (
        ended_at is None or later["began_at"] <= ended_at
    )


def _restarts(workers: list[Worker]) -> list[Restart]:
    """The workers that have ended, the newest first. The main process of `serve` knows the exit
    statuses; of another server only the reports without an end are known."""
    by_pid = {worker.pid: worker for worker in workers if worker.state == "ended"}
    restarts = {each.pid: each for each in _exits()}
    for pid, worker in by_pid.items():
        restart = restarts.setdefault(pid, Restart(pid, worker.written_at, None, None))
        restart.started_at, restart.stopped_normally = worker.started_at, worker.has_ended
    return sorted(restarts.values(), key=lambda each: -each.at)[:MAX_ROWS]


def _exits() -> Iterator[Restart]:
    for file in rundir.read(rundir.EXITS):
        with suppress(*MALFORMED):
            for each in json.loads(file.content):
                yield Restart(int(each["pid"]), float(each["at"]), None, each["status"])
