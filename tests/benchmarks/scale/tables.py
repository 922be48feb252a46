"""The tables of docs/scale.md, as text of Markdown."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tests.benchmarks.scale import capacity, closed, cluster
from tests.benchmarks.scale.capacity import SITE, Load, Plan
from tests.benchmarks.scale.figures import Figures

REQUESTS = (1_000, 10_000, 100_000)
READS = (0.95, 0.80)


def costs(figures: Figures) -> str:
    """What a request costs."""
    compressed = figures.measured["writes with wal_compression"]
    rows: list[Sequence[object]] = []
    for name, read in figures.reads.items():
        rows.append((f"read: {name}", read.api, read.postgresql, "", "", "", ""))
    for name, write in figures.writes.items():
        wal = (write.wal, write.images, compressed[name]["images"])
        rows.append((f"write: {name}", *write[:3], *map(_kib, wal)))
    head = ("request", "API, µs", "PostgreSQL, µs", "replay, µs", "WAL, KiB")
    return _table((*head, "page images, KiB", "compressed, KiB"), rows)


def assumptions(figures: Figures) -> str:
    """What is not measured, and why it is taken."""
    rows = [(name, value, figures.reasons[name]) for name, value in figures.assumed.items()]
    return _table(("assumed", "value", "what it is"), rows)


def machines(figures: Figures) -> str:
    """The plan for each load, and the times of its simulation."""
    loads = [Load(requests, reads) for reads in READS for requests in REQUESTS]
    plans = [capacity.plan(figures, load) for load in loads]
    times = [cluster.times(figures, load) for load in loads]
    assumed = figures.assumed
    core, node = assumed["cores of an API machine"], assumed["cores of a node"]
    shown: dict[str, Callable[[Plan], str]] = {
        f"API machines of {core:.0f} cores": lambda plan: str(plan.api_machines),
        "their cores in use": lambda plan: f"{plan.api_cores:.1f}",
        f"standbys of {node:.0f} cores": lambda plan: str(plan.standbys),
        "their cores in use by reads": lambda plan: f"{plan.standby_cores:.1f}",
        "one core of each: replay": lambda plan: f"{plan.replay:.1%}",
        f"primary of {node:.0f} cores: in use": lambda plan: f"{plan.primary_cores:.1f}",
        "WAL, MB/s": lambda plan: f"{plan.wal:.1f}",
        "WAL to all standbys, MB/s": lambda plan: f"{plan.network:.1f}",
        "Redis: one core": lambda plan: f"{plan.redis:.1%}",
        "connections to a node, pools of 4": lambda plan: f"{capacity.connections(plan, 4):,}",
        "hours until 200 million transactions": lambda plan: f"{200e6 / plan.writes / 3600:,.0f}",
    }
    rows = [(name, *map(show, plans)) for name, show in shown.items()]
    for kind in ("read", "write"):
        cells = [f"{each[kind].p50 * 1e3:.1f} / {each[kind].p99 * 1e3:.1f}" for each in times]
        rows.append((f"{kind}, p50 / p99, ms", *cells))
    head = [f"{load.requests:,}, {load.reads:.0%}" for load in loads]
    return _table(["requests a second, reads", *head], rows)


def limits(figures: Figures) -> str:
    """The load at which each limit is reached, the lowest first."""
    compressed = capacity.with_wal_compression(figures)
    reached = {
        name: [
            capacity.most_requests(each, name, reads)
            for each in (figures, compressed)
            for reads in READS
        ]
        for name in capacity.limits(figures)
    }
    rows = [
        (name, *map(_rounded, most))
        for name, most in sorted(reached.items(), key=lambda item: item[1])
    ]
    shares = [f"{reads:.0%} reads" for reads in READS]
    return _table(
        ["requests a second", *shares, *(f"{s}, `wal_compression`" for s in shares)], rows
    )


def sizes(figures: Figures) -> str:
    """The size of each table with 100 million articles."""
    rows: list[Sequence[object]] = []
    for name, (of_article, table, indexes) in capacity.per_row(figures).items():
        number = of_article * SITE
        size = (number * table / 1e9, number * indexes / 1e9)
        rows.append((f"`{name}`", number / 1e6, table, indexes, *map(round, size)))
    total = capacity.size(figures, SITE) / 1e9
    rows.append(("**all**", "", "", "", "", f"**{total:,.0f}**"))
    head = ("table", "million rows", "bytes of a row", "in indexes", "table, GB", "indexes, GB")
    return _table(head, rows)


def row_sizes(figures: Figures) -> str:
    """The bytes of a row in its table and all indexes, on sites of different sizes."""
    measured = figures.measured["tables"]
    names = [*measured["1000000"]]
    rows = [
        (f"`{name}`", *(round(_bytes_of_row(each[name])) for each in measured.values()))
        for name in names
    ]
    return _table(["bytes of a row", *map(_articles, measured)], rows)


def queries(figures: Figures) -> str:
    """What the hot reads cost, and with 100 million articles."""
    measured = figures.measured["queries"]
    *_, smaller, larger = map(int, measured)
    steps = math.log(SITE / larger, larger / smaller)
    rows: list[Sequence[object]] = []
    for name, (_, pages) in measured[str(larger)].items():
        found = [each.get(name) for each in measured.values()]
        cells = [f"{each[0]:.2f} / {each[1]:,}" if each else "" for each in found]
        # A query that the smaller site cannot answer reads as many pages on any larger one.
        _, before = measured[str(smaller)].get(name, (0, pages))
        rows.append((name, *cells, round(pages + max(0, pages - before) * steps)))
    time, pages = figures.measured["many tags"]
    cells = [f"{time:.2f} / {pages:,}" if articles == "1000000" else "" for articles in measured]
    rows.append(("tags, 100,000 more of them", *cells, ""))
    return _table(["ms / pages", *map(_articles, measured), "100 M: pages"], rows)


def hot(figures: Figures) -> str:
    """Writes of the same row at the same time."""
    head = ("64 clients, a COMMIT takes 2 ms", "transactions/s")
    return _table(head, [*figures.measured["hot"].items()])


def validation(figures: Figures) -> str:
    """The simulation compared with `make bench`. It needs no figures."""
    rows = []
    for name, (cpu, real) in closed.measured().items():
        model = closed.simulated(cpu)
        rates = f"{real.rate:,.0f} / {model.rate:,.0f}"
        pairs = [*zip(real.times, model.times, strict=True)]
        cells = [f"{one * 1e3:.1f} / {other * 1e3:.1f}" for one, other in pairs]
        ratios = [real.rate / model.rate, *(one / other for one, other in pairs)]
        rows.append((name, rates, *cells, ", ".join(f"{ratio:.2f}" for ratio in ratios)))
    head = ("measured / simulated", "requests/s", "p50, ms", "p99, ms")
    return _table((*head, "ratios of the three"), rows)


def standby(figures: Figures) -> str:
    """The cost of reads on a standby."""
    rows = [(name, f"{ratio} x") for name, ratio in figures.measured["reads on a standby"].items()]
    return _table(("read on a standby", "CPU, compared with the primary"), rows)


def mix(figures: Figures) -> str:
    """The assumed shares of the requests."""
    rows = []
    for kind, shares in (("read", figures.read_mix), ("write", figures.write_mix)):
        rows += [(kind, name, share) for name, share in shares.items()]
    return _table(("", "assumed", "of 100"), rows)


TABLES: dict[str, Callable[[Figures], str]] = {
    "assumptions": assumptions,
    "mix": mix,
    "standby": standby,
    "costs": costs,
    "machines": machines,
    "limits": limits,
    "sizes": sizes,
    "row_sizes": row_sizes,
    "queries": queries,
    "hot": hot,
    "validation": validation,
}


def _bytes_of_row(table: Mapping[str, Any]) -> float:
    return float((table["table"] + sum(table["indexes"].values())) / table["rows"])


def _articles(number: str) -> str:
    return f"{int(number):,} articles"


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(map(_cell, line))} |\n" for line in lines)


def _cell(value: object) -> str:
    if isinstance(value, float) and value < 1_000:
        return f"{value:.3g}"
    return f"{value:,.0f}" if isinstance(value, int | float) else str(value)


def _kib(size: float) -> str:
    return f"{size / 1024:.1f}"


def _rounded(requests: float) -> str:
    """Two digits."""
    return f"{float(f'{requests:.2g}'):,.0f}"
