"""Measures cases in turn (A B A B), so that other load on the machine affects all equally."""

from collections.abc import Mapping
from statistics import median
from typing import NamedTuple

from tests.benchmarks.costs import median_ratio
from tests.benchmarks.generator import ask
from tests.benchmarks.questions import Question
from tests.benchmarks.subjects import Server


class Cost(NamedTuple):
    """The result of one round."""

    rate: float
    """Requests a second."""
    cpu: float
    """CPU time of the server and of PostgreSQL for each request, in microseconds."""
    p50: float
    """Both percentiles are in seconds."""
    p99: float


class Case(NamedTuple):
    server: Server
    question: Question


def measure_interleaved[Name](
    cases: Mapping[Name, Case], *, rounds: int, seconds: float, clients: int
) -> dict[Name, list[Cost]]:
    """Measure `rounds` rounds of each case, after one that warms up and is not counted."""
    costs: dict[Name, list[Cost]] = {name: [] for name in cases}
    for case in cases.values():
        _measure(case, 1, clients)
    for _ in range(rounds):
        for name, case in cases.items():
            costs[name].append(_measure(case, seconds, clients))
    return costs


def ratio_of_rates(costs: list[Cost], others: list[Cost]) -> float:
    return median_ratio([cost.rate for cost in costs], [cost.rate for cost in others])


def ratio_of_cpu(costs: list[Cost], others: list[Cost]) -> float:
    return median_ratio([cost.cpu for cost in costs], [cost.cpu for cost in others])


def typical(costs: list[Cost]) -> Cost:
    """The median of each figure."""
    return Cost(*map(median, zip(*costs, strict=True)))


def _measure(case: Case, seconds: float, clients: int) -> Cost:
    headers = case.question.headers()
    before = case.server.cpu()
    outcome = ask(
        case.server.port, case.question.path, seconds=seconds, clients=clients, headers=headers
    )
    cpu = (case.server.cpu() - before) / outcome.requests * 1e6
    return Cost(outcome.rate, cpu, outcome.p50, outcome.p99)
