"""The lines and bars of the charts, as coordinates for SVG.

The browser stretches a chart to the width of the page, so the SVG contains no text, and its labels
are HTML.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from database.health import Database
from database.metrics import SECONDS

HEIGHT = 100
BAR = 10  # seconds that a bar stands for
GAP = 2  # between two bars, in seconds on the horizontal axis


@dataclass
class Line:
    """`name` is the CSS class, which sets the color, the dashes and the width."""

    name: str
    label: str
    now: int
    most: int
    paths: list[str]
    """The points of each part: a line has gaps where nothing is known."""


@dataclass
class Bar:
    name: str
    x: float
    y: float
    width: float
    height: float


@dataclass
class Chart:
    name: str
    title: str
    text: str
    """What the chart shows, for readers who do not see it."""
    top: int
    """The value at the upper edge."""
    lines: list[Line]
    bars: list[Bar]
    rows: list[tuple[str, list[int]]]
    """The same as a table: the largest values of each half minute."""


def charts(database: Database) -> list[Chart]:
    return (
        [*_of_pool(database), _of_refusals(database)]
        if database.has_pool
        else [_of_connections(database, with_pool=False)]
    )


def _of_pool(database: Database) -> Iterator[Chart]:
    yield _of_connections(database, with_pool=True)
    waiting = [state and state.waiting for state in database.states]
    yield _line_chart("waiting", "Waiting requests", [("waiting", "waiting", waiting)])


def _of_connections(database: Database, *, with_pool: bool) -> Chart:
    states = database.states
    columns = [
        ("in-use", "in use", [state and state.in_use for state in states]),
        ("idle", "idle", [state and state.idle for state in states]),
    ]
    if with_pool:
        columns.append(("max", "maximum", [state and state.max for state in states]))
    return _line_chart("connections", "Connections", columns)


def _line_chart(
    name: str, title: str, columns: Sequence[tuple[str, str, list[int | None]]]
) -> Chart:
    top = max((value for _, _, values in columns for value in values if value), default=1)
    lines = [
        Line(
            name=line,
            label=label,
            now=next((value for value in reversed(values) if value is not None), 0),
            most=max((value for value in values if value is not None), default=0),
            paths=[*_paths(values, top)],
        )
        for line, label, values in columns
    ]
    text = "; ".join(f"{line.label}: now {line.now}, at most {line.most}" for line in lines)
    return Chart(
        name=name,
        title=title,
        text=f"{title} in the last five minutes. {text}.",
        top=top,
        lines=lines,
        bars=[],
        rows=[*_rows([values for _, _, values in columns], most=True)],
    )


def _paths(values: list[int | None], top: int) -> Iterator[str]:
    points: list[str] = []
    for x, value in enumerate([*values, None]):
        if value is not None:
            points.append(f"{x},{HEIGHT - value * HEIGHT / top:g}")
        elif points:
            # A line of one point would not be drawn.
            yield " ".join(points if len(points) > 1 else points * 2)
            points = []


def _of_refusals(database: Database) -> Chart:
    names = ("timeout", "full")
    labels = ("timed out", "queue full")
    groups = [
        [sum(column) for column in zip(*database.refused[start : start + BAR], strict=True)]
        for start in range(0, SECONDS, BAR)
    ]
    top = max([1, *map(sum, groups)])
    bars = []
    for number, counts in enumerate(groups):
        y = float(HEIGHT)
        for name, count in zip(names, counts, strict=True):
            height = count * HEIGHT / top
            y -= height
            if count:
                bars.append(Bar(name, number * BAR + GAP / 2, y, BAR - GAP, height))
    totals = [sum(column) for column in zip(*groups, strict=True)]
    text = "; ".join(f"{label}: {total}" for label, total in zip(labels, totals, strict=True))
    return Chart(
        name="refused",
        title="Refused requests, bars of 10 s",
        text=f"Refused requests in the last five minutes. {text}.",
        top=top,
        lines=[
            Line(name, label, total, total, [])
            for name, label, total in zip(names, labels, totals, strict=True)
        ],
        bars=bars,
        rows=[*_rows([[each[index] for each in database.refused] for index in (0, 1)], most=False)],
    )


def _rows(
    columns: Sequence[Sequence[int | None]], *, most: bool
) -> Iterator[tuple[str, list[int]]]:
    """For each half minute the largest value of each column, or the sum; the newest first."""
    step = 30
    for start in range(SECONDS - step, -1, -step):
        ago = SECONDS - start
        parts = [[value or 0 for value in column[start : start + step]] for column in columns]
        yield f"{ago} to {ago - step} s ago", [max(part) if most else sum(part) for part in parts]
