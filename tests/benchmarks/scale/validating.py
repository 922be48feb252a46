"""Compares the simulation with this machine, on which all programs share the cores.

A client sends the reads of the mix at random times, whether or not the earlier ones are answered.
The simulation gets the CPU times of figures.json, and those of the client.
"""

import os
import random
import selectors
import socket
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.benchmarks import subjects
from tests.benchmarks.costs import TICKS
from tests.benchmarks.generator import is_whole
from tests.benchmarks.kept import site
from tests.benchmarks.scale import figures, simulation
from tests.benchmarks.scale.figures import Figures
from tests.benchmarks.scale.measuring import READS
from tests.benchmarks.scale.simulation import Request, Station, Step
from tests.benchmarks.subjects import Server

CORES = len(os.sched_getaffinity(0))
SECONDS = 6
TRIES = 5
QUIET = 0.03  # share of the cores that other programs may use
CLIENTS = 16  # as many as the server has threads
UTILIZATIONS = (0.2, 0.35, 0.5, 0.6, 0.7, 0.8)


class Run(NamedTuple):
    times: list[float]
    """Seconds of each request from the time at which it should be sent."""
    client: float
    """CPU time of the client for a request, in microseconds."""
    server: float
    """The same of server and PostgreSQL."""
    others: float
    """Cores that other programs of the machine used."""


def main() -> None:
    """Print a line for each load."""
    found = figures.load()
    # The site has no words, so its searches find nothing.
    reads = {name: share for name, share in found.read_mix.items() if name != "search"}
    found = found._replace(read_mix=reads)
    print("requests/s  CPU used  by others  p50, ms: measured, simulated  p99, ms")
    with site("large") as postgresql, subjects.this_project(postgresql) as server:
        client = _run(server, found, 200).client  # warms up, too
        for utilization in UTILIZATIONS:
            rate = CORES * utilization / (_mean(found) + client) * 1e6
            run = _quiet_run(server, found, rate)
            used = rate * (run.client + run.server) / 1e6 / CORES
            print(f"{rate:10.0f}{used:10.0%}{run.others / CORES:11.0%}", end="")
            model = simulated(found, rate, run.client)
            for real, expected in zip(simulation.percentiles(run.times), model, strict=True):
                print(f"{real * 1e3:16.1f}{expected * 1e3:8.1f}", end="")
            print(flush=True)


def _quiet_run(server: Server, found: Figures, rate: float) -> Run:
    """The run with the least load of other programs, of at most TRIES."""
    runs = []
    for _ in range(TRIES):
        runs.append(_run(server, found, rate))
        if runs[-1].others / CORES < QUIET:
            break
    return min(runs, key=lambda run: run.others)


def simulated(
    found: Figures, rate: float, client: float, cores: int = CORES
) -> tuple[float, float]:
    """The percentiles in seconds. Server, PostgreSQL and client share the cores."""
    machine, chance, now, requests = Station(CORES), random.Random(1), 0.0, []  # noqa: S311

    def step(microseconds: float) -> Step:
        return Step(machine, chance.expovariate(1e6 / microseconds))

    for _ in range(20_000):
        now += chance.expovariate(rate)
        cost = found.reads[_kind(found, chance)]
        parts = (client / 2, cost.api / 2, cost.postgresql, cost.api / 2, client / 2)
        requests.append(Request(now, "read", [step(part) for part in parts]))
    return simulation.percentiles(simulation.simulate(requests)["read"])


def _mean(found: Figures) -> float:
    """The CPU time of a read without the client, in microseconds."""
    weights = sum(found.read_mix.values())
    return sum(sum(found.reads[name]) * weight / weights for name, weight in found.read_mix.items())


def _kind(found: Figures, chance: random.Random) -> str:
    return chance.choices([*found.read_mix], [*found.read_mix.values()])[0]


def _run(server: Server, found: Figures, rate: float) -> Run:
    chance = random.Random(2)  # noqa: S311
    texts = {name: _request(server.port, name) for name in READS}
    due, now = [], 0.0
    while now < SECONDS:
        now += chance.expovariate(rate)
        due.append((now, texts[_kind(found, chance)]))
    before, client, busy = server.cpu(), time.process_time(), _busy()
    with _connections(server.port) as selector:
        times = _send(selector, deque(due))
    client, busy = time.process_time() - client, _busy() - busy
    spent = sum(server.cpu() - before)
    number = len(due)
    others = max(0.0, busy - spent - client) / SECONDS
    return Run(times, client / number * 1e6, spent / number * 1e6, others)


def _send(selector: selectors.BaseSelector, due: "deque[tuple[float, bytes]]") -> list[float]:
    """Send each request when it is due and a connection is free."""
    free = [key.fileobj for key in selector.get_map().values()]
    asked: dict[Any, tuple[float, bytes]] = {}
    times: list[float] = []
    start = time.monotonic()
    while due or asked:
        now = time.monotonic() - start
        while due and free and due[0][0] <= now:
            at, text = due.popleft()
            connection: Any = free.pop()
            asked[connection] = at, b""
            connection.sendall(text)
        wait = max(0.0, due[0][0] - now) if due and free else 1.0
        for key, _ in selector.select(wait):
            connection = key.fileobj
            at, received = asked[connection]
            received += connection.recv(1 << 20)
            asked[connection] = at, received
            if is_whole(received):
                times.append(time.monotonic() - start - at)
                del asked[connection]
                free.append(connection)
    return times


@contextmanager
def _connections(port: int) -> Iterator[selectors.BaseSelector]:
    # epoll counts the time-out in milliseconds, which is too coarse here.
    with selectors.SelectSelector() as selector:
        sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(CLIENTS)]
        for connection in sockets:
            selector.register(connection, selectors.EVENT_READ)
        try:
            yield selector
        finally:
            for connection in sockets:
                connection.close()


def _request(port: int, name: str) -> bytes:
    lines = [f"GET {READS[name].path} HTTP/1.1", f"Host: 127.0.0.1:{port}"]
    lines += [f"{header}: {value}" for header, value in READS[name].headers().items()]
    return "\r\n".join([*lines, "", ""]).encode()


def _busy() -> float:
    """The CPU time that all programs of this machine have used, in seconds."""
    user, nice, system, _, _, irq, softirq, steal = map(
        int, Path("/proc/stat").read_text().split()[1:9]
    )
    return (user + nice + system + irq + softirq + steal) / TICKS
