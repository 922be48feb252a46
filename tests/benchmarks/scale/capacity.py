"""The plan: how many machines of each kind carry a load, and what gives out first.

All of it is arithmetic: load times cost, divided by what a machine may do. After the loss of one
machine of each kind, the others use at most the assumed share of their cores.
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

from tests.benchmarks.scale.figures import Figures

PAGE = 8192  # bytes
SITE = 100_000_000  # articles


class Load(NamedTuple):
    requests: float
    """A second."""
    reads: float
    """Share of the requests."""


class Mean(NamedTuple):
    """The average request: microseconds of CPU, and bytes."""

    api_read: float
    api_write: float
    standby_read: float
    primary_read: float
    primary_write: float
    replay: float
    wal: float
    images: float


class Plan(NamedTuple):
    writes: float
    """A second."""
    api_cores: float
    """Cores in use."""
    api_machines: int
    standby_cores: float
    """Cores in use by reads, of all standbys together."""
    standbys: int
    primary_cores: float
    replay: float
    """Share of one core of each standby. One process replays all WAL."""
    wal: float
    """MB/s."""
    network: float
    """MB/s from the primary to all standbys."""
    redis: float
    """Share of one core."""
    processes: int
    """Of all API machines together."""


def mean(figures: Figures) -> Mean:
    reads, writes = figures.reads, figures.writes
    factor = figures.assumed["cost of a read on a standby"]
    api_read = _average({name: cost.api for name, cost in reads.items()}, figures.read_mix)
    read = _average({name: cost.postgresql for name, cost in reads.items()}, figures.read_mix)

    def write(of: Callable[[str], float]) -> float:
        return _average({name: of(name) for name in writes}, figures.write_mix)

    return Mean(
        api_read=api_read * factor,
        api_write=write(lambda name: writes[name].api),
        standby_read=read * factor,
        primary_read=read,
        primary_write=write(lambda name: writes[name].postgresql),
        replay=write(lambda name: writes[name].replay),
        wal=write(lambda name: writes[name].wal),
        images=write(lambda name: writes[name].images),
    )


def plan(figures: Figures, load: Load) -> Plan:
    """Raises ValueError if one core cannot replay the WAL of so many writes."""
    assumed, each = figures.assumed, mean(figures)
    reads, writes = load.requests * load.reads, load.requests * (1 - load.reads)
    late = reads * assumed["reads on the primary"]
    api_cores = (reads * each.api_read + writes * each.api_write) / 1e6
    standby_cores = (reads - late) * each.standby_read / 1e6
    replay = writes * each.replay / 1e6
    usable = assumed["cores of a node"] * assumed["utilization"]
    if replay >= usable:
        raise ValueError("the standbys fall behind")
    # One for the reads of a standby that is lost, and two at least: one of them is synchronous.
    standbys = max(2, math.ceil(standby_cores / (usable - replay)) + 1)
    machine = assumed["cores of an API machine"]
    api_machines = max(2, math.ceil(api_cores / machine / assumed["utilization"]) + 1)
    wal = writes * (each.wal + each.images * first_writes(figures, writes)) / 1e6
    commands = reads + writes * assumed["positions and limits of a write"]
    return Plan(
        writes,
        api_cores,
        api_machines,
        standby_cores,
        standbys,
        (writes * each.primary_write + late * each.primary_read) / 1e6,
        replay,
        wal,
        wal * standbys,
        commands * figures.measured["redis µs"] / 1e6,
        int(api_machines * machine),
    )


def first_writes(figures: Figures, writes: float) -> float:
    """The share of page writes that are the first after a checkpoint, and so write a whole page
    to the WAL. Each write takes random pages of the site."""
    pages = size(figures, SITE) / PAGE
    written = writes * figures.assumed["checkpoint"] * mean(figures).images / PAGE
    return -math.expm1(-written / pages) * pages / written if writes else 1.0


def size(figures: Figures, articles: int) -> float:
    """The bytes of all tables and indexes of a site. They grow with the number of rows."""
    return sum(
        articles * rows * (table + indexes) for rows, table, indexes in per_row(figures).values()
    )


def per_row(figures: Figures) -> dict[str, tuple[float, float, float]]:
    """Rows for each article, bytes of a row in the table, and in all indexes."""
    measured = figures.measured["tables"]["1000000"]
    rows = figures.rows_of_article
    return {
        name: (
            rows[name],
            each["table"] / each["rows"],
            sum(each["indexes"].values()) / each["rows"],
        )
        for name, each in measured.items()
    }


# What one machine must do alone, and how much it can: more machines do not help.
def limits(figures: Figures) -> dict[str, Callable[[Plan], float]]:
    """For each: the share of what is possible that a plan uses."""
    assumed = figures.assumed
    most, most_without = assumed["utilization"], assumed["utilization without Redis"]
    room = assumed["connections of a node"]
    return {
        "CPU of the primary": lambda plan: plan.primary_cores / assumed["cores of a node"] / most,
        "WAL of the primary's disk": lambda plan: plan.wal / assumed["WAL of a disk"] / most,
        "network of the primary": lambda plan: plan.network / assumed["network of a node"] / most,
        "replay on a standby": lambda plan: plan.replay / most,
        "Redis": lambda plan: plan.redis / most,
        "connections, pools of 8": lambda plan: connections(plan, 8) / room,
        "connections, pools of 4": lambda plan: connections(plan, 4) / room,
        "all reads on the primary, without Redis": lambda plan: (
            (plan.primary_cores + plan.standby_cores) / assumed["cores of a node"] / most_without
        ),
    }


def connections(plan: Plan, pool: int) -> int:
    """To each node, because it may become the primary: for reads, for writes, and one for the
    probe of each process."""
    return plan.processes * (2 * pool + 1)


def with_wal_compression(figures: Figures) -> Figures:
    """The figures with smaller page images. The CPU time is that without compression."""
    compressed = figures.measured["writes with wal_compression"]
    return figures._replace(
        writes={
            name: cost._replace(images=compressed[name]["images"])
            for name, cost in figures.writes.items()
        }
    )


def most_requests(figures: Figures, limit: str, reads: float) -> float:
    """The requests a second at which a limit is reached."""
    used = limits(figures)[limit]
    low, high = 1.0, 1e7
    while high / low > 1.001:
        middle = math.sqrt(low * high)
        try:
            fits = used(plan(figures, Load(middle, reads))) <= 1
        except ValueError:
            fits = False
        low, high = (middle, high) if fits else (low, middle)
    return low


def _average(costs: Mapping[str, float], mix: Mapping[str, float]) -> float:
    return sum(costs[name] * weight for name, weight in mix.items()) / sum(mix.values())
