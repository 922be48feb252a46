"""docs/scale.md: its tables agree with the figures, the plan, and the simulation."""

import math
from random import Random
from statistics import fmean

import pytest

from tests.benchmarks.scale import capacity, closed, document, figures
from tests.benchmarks.scale.capacity import Load, Plan
from tests.benchmarks.scale.simulation import Request, Station, Step, percentiles, simulate

FIGURES = figures.load()
LOADS = [Load(requests, reads) for requests in (10, 1_000, 30_000, 100_000) for reads in (0.8, 1.0)]


def queue(cores: int, rate: float, number: int = 50_000) -> list[float]:
    """The times of requests that take a second on average, with an exponential distribution."""
    chance, now, station, requests = Random(3), 0.0, Station(cores), []  # noqa: S311 -- no secret
    for _ in range(number):
        now += chance.expovariate(rate)
        requests.append(Request(now, "request", [Step(station, chance.expovariate(1))]))
    return simulate(requests)["request"]


def waiting(cores: int, rate: float) -> float:
    """The mean waiting time of such a queue by Erlang's formula C."""
    terms = [rate**n / math.factorial(n) for n in range(cores)]
    last = rate**cores / math.factorial(cores) * cores / (cores - rate)
    return last / (sum(terms) + last) / (cores - rate)


def used(plan: Plan, load: Load, lost: int) -> tuple[float, float]:
    """The share of the cores in use on each API machine and on each standby."""
    assumed = FIGURES.assumed
    machines, standbys = plan.api_machines - lost, plan.standbys - lost
    node = plan.standby_cores / standbys + plan.replay
    return (
        plan.api_cores / machines / assumed["cores of an API machine"],
        node / assumed["cores of a node"],
    )


def test_the_tables_of_the_page_are_those_of_the_figures() -> None:
    page = document.PAGE.read_text()

    # After a change, `make scale` writes them.
    assert document.with_tables(FIGURES) == page


def test_each_assumption_has_its_reason_and_each_mix_is_complete() -> None:
    assert sum(FIGURES.read_mix.values()) == pytest.approx(100)
    assert sum(FIGURES.write_mix.values()) == pytest.approx(100)
    assert {*FIGURES.read_mix} == {*FIGURES.reads}
    assert {*FIGURES.write_mix} == {*FIGURES.writes}
    assert {*FIGURES.rows_of_article} == {*FIGURES.measured["tables"]["1000000"]}


@pytest.mark.parametrize("load", LOADS, ids=str)
def test_without_one_machine_of_each_kind_the_others_are_not_too_busy(load: Load) -> None:
    plan = capacity.plan(FIGURES, load)

    assert max(used(plan, load, lost=1)) <= FIGURES.assumed["utilization"]


def test_a_plan_has_no_machine_too_many() -> None:
    load = Load(100_000, 0.95)
    plan = capacity.plan(FIGURES, load)

    assert min(used(plan, load, lost=2)) > FIGURES.assumed["utilization"]


def test_twice_the_load_takes_twice_the_cores() -> None:
    once, twice = (capacity.plan(FIGURES, Load(requests, 0.95)) for requests in (10_000, 20_000))

    assert twice.api_cores == pytest.approx(2 * once.api_cores)
    assert twice.primary_cores == pytest.approx(2 * once.primary_cores)
    # A page that is written often between two checkpoints is whole in the WAL only once.
    assert once.wal < twice.wal < 2 * once.wal


def test_a_plan_whose_standbys_cannot_replay_is_refused() -> None:
    with pytest.raises(ValueError, match="fall behind"):
        capacity.plan(FIGURES, Load(10_000_000, 0))


@pytest.mark.parametrize("name", capacity.limits(FIGURES))
def test_a_limit_is_reached_where_the_page_says(name: str) -> None:
    share = capacity.limits(FIGURES)[name]
    most = capacity.most_requests(FIGURES, name, 0.95)

    assert share(capacity.plan(FIGURES, Load(most * 0.9, 0.95))) <= 1
    assert share(capacity.plan(FIGURES, Load(most * 1.1, 0.95))) > 1


@pytest.mark.parametrize(("cores", "rate"), [(1, 0.6), (2, 1.3), (4, 2.9)])
def test_the_simulation_waits_as_long_as_erlangs_formula_says(cores: int, rate: float) -> None:
    times = queue(cores, rate)

    assert fmean(times) == pytest.approx(1 + waiting(cores, rate), rel=0.05)


def test_steps_come_one_after_the_other_and_a_pause_needs_no_core() -> None:
    station = Station(1)
    steps = [Step(station, 1.0), Step(None, 5.0), Step(station, 1.0)]
    requests = [Request(0.0, "first", steps), Request(0.5, "second", steps)]

    # The second waits for the core twice, for 0.5 s and for nothing.
    assert simulate(requests) == {"first": [7.0], "second": [7.5]}


def test_a_client_sends_its_next_request_after_the_answer() -> None:
    station = Station(1)
    waiting = [Request(0.0, "later", [Step(station, 2.0)])]

    def after(now: float) -> Request | None:
        return waiting.pop() if waiting else None

    # It waits until the first has ended, although its own time began before.
    first = Request(0.0, "first", [Step(station, 1.0)])
    assert simulate([first], after) == {"first": [1.0], "later": [3.0]}


def test_the_simulation_predicts_the_rates_and_medians_of_the_benchmark() -> None:
    for cpu, real in closed.measured().values():
        model = closed.simulated(cpu)
        assert real.rate == pytest.approx(model.rate, rel=0.12)
        assert real.times.p50 == pytest.approx(model.times.p50, rel=0.12)


def test_percentiles_leave_out_the_first_tenth() -> None:
    assert percentiles([1000.0] * 10 + [1.0] * 90) == (1.0, 1.0)
