"""Measuring in rounds: A B A B, so that both suffer alike from what else the machine does."""

from collections.abc import Mapping
from statistics import median
from typing import NamedTuple

from tests.benchmarks.costs import median_ratio
from tests.benchmarks.generator import ask
from tests.benchmarks.questions import Question
from tests.benchmarks.subjects import Server


class Cost(NamedTuple):
    """What one round came to."""

    rate: float
    """Requests a second."""
    cpu: float
    """Microseconds a request, of the server and of PostgreSQL."""
    p50: float
    """Seconds, and so is the next."""
    p99: float


class Case(NamedTuple):
    server: Server
    question: Question


def interleaved[Name](
    cases: Mapping[Name, Case], *, rounds: int, seconds: float, clients: int
) -> dict[Name, list[Cost]]:
    """So many rounds of each case, after one that warms up and is not kept."""
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
