"""Measures cases in turn (A B A B), so that other load on the machine affects all equally."""

from collections.abc import Mapping
from statistics import median
from typing import NamedTuple

from tests.benchmarks.generator import ask
from tests.benchmarks.questions import Question, answer
from tests.benchmarks.subjects import Server

CLIENTS = 8


class Cost(NamedTuple):
    """The result of one round."""

    rate: float
    """Requests a second."""
    server: float
    """CPU time of the server for each request, in microseconds."""
    postgresql: float
    """The same of PostgreSQL."""
    p50: float
    """Both percentiles are in seconds."""
    p99: float

    @property
    def cpu(self) -> float:
        """CPU time of the server and of PostgreSQL for each request, in microseconds."""
        return self.server + self.postgresql


class Case(NamedTuple):
    server: Server
    question: Question


def measure_interleaved[Name](
    cases: Mapping[Name, Case], *, rounds: int, seconds: float
) -> dict[Name, list[Cost]]:
    """Measure `rounds` rounds of each case, after one that warms up and is not counted."""
    costs: dict[Name, list[Cost]] = {name: [] for name in cases}
    for case in cases.values():
        answer(*case)  # takes longer than a round if PostgreSQL reads the disk
        _measure(case, 1)
    for _ in range(rounds):
        for name, case in cases.items():
            costs[name].append(_measure(case, seconds))
    return costs


def ratio_of_rates(costs: list[Cost], others: list[Cost]) -> float:
    """The median of the ratios of each round."""
    return median(one.rate / other.rate for one, other in zip(costs, others, strict=True))


def ratios_of_cpu(costs: list[Cost], others: list[Cost]) -> list[float]:
    """The ratio of each round."""
    return [one.cpu / other.cpu for one, other in zip(costs, others, strict=True)]


def ratio_of_cpu(costs: list[Cost], others: list[Cost]) -> float:
    """The median of the ratios of each round."""
    return median(ratios_of_cpu(costs, others))


def typical(costs: list[Cost]) -> Cost:
    """The median of each figure."""
    return Cost(*map(median, zip(*costs, strict=True)))


def _measure(case: Case, seconds: float) -> Cost:
    headers = case.question.headers()
    before = case.server.cpu()
    outcome = ask(
        case.server.port, case.question.path, seconds=seconds, clients=CLIENTS, headers=headers
    )
    spent = case.server.cpu() - before
    server, postgresql = (each / outcome.requests * 1e6 for each in spent)
    return Cost(outcome.rate, server, postgresql, outcome.p50, outcome.p99)
