"""Compares the simulation with `make bench`: clients that wait for an answer before they ask again.

The results of `make bench` on a machine with two cores are in docs/speed.md.
"""

import random
import re
from typing import NamedTuple

from config.settings import BASE_DIR
from tests.benchmarks import rounds
from tests.benchmarks.scale import simulation
from tests.benchmarks.scale.simulation import Request, Station, Step, Times

CORES = 2
REQUESTS = 20_000
GENERATOR = 30  # microseconds of CPU of wrk for each request
# The table of the stacks that give the same answer: rate, percentiles in ms, CPU in microseconds.
ROW = re.compile(
    r"^\| ([^|]+) \| ([\d,]+) \| ([\d.]+) / ([\d.]+) ms \| ([\d,]+) µs \|$", re.MULTILINE
)


class Outcome(NamedTuple):
    rate: float
    """Requests a second."""
    times: Times


def measured() -> dict[str, tuple[float, Outcome]]:
    """Microseconds of CPU and the outcome of each stack."""
    found = ROW.findall((BASE_DIR / "docs/speed.md").read_text())
    return {
        name.strip("*"): (
            _number(cpu),
            Outcome(_number(rate), Times(float(p50) / 1e3, float(p99) / 1e3)),
        )
        for name, rate, p50, p99, cpu in found
    }


def simulated(microseconds: float, clients: int = rounds.CLIENTS) -> Outcome:
    """Clients that share the cores with the server, PostgreSQL and their own generator."""
    machine, chance, ended = Station(CORES), random.Random(1), 0.0  # noqa: S311 -- no secret
    left = REQUESTS - clients

    def request(at: float) -> Request:
        spent = chance.expovariate() * (microseconds + GENERATOR) / 1e6
        return Request(at, "read", [Step(machine, spent)])

    def after(now: float) -> Request | None:
        nonlocal left, ended
        left, ended = left - 1, now
        return request(now) if left >= 0 else None

    times = simulation.simulate([request(0) for _ in range(clients)], after)["read"]
    return Outcome(REQUESTS / ended, simulation.percentiles(times))


def _number(text: str) -> float:
    return float(text.replace(",", ""))
