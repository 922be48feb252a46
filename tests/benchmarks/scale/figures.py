"""The figures: what was measured and what is assumed."""

import json
from pathlib import Path
from typing import Any, NamedTuple

FILE = Path(__file__).with_name("figures.json")


class ReadCost(NamedTuple):
    """CPU time of a request, in microseconds."""

    api: float
    postgresql: float


class WriteCost(NamedTuple):
    """CPU time of a request, in microseconds, and bytes of WAL."""

    api: float
    postgresql: float
    replay: float
    """Of the process that replays the WAL of the write on a standby."""
    wal: float
    """Without full page images."""
    images: float
    """Full page images, if each page is written for the first time after a checkpoint."""


class Figures(NamedTuple):
    reads: dict[str, ReadCost]
    writes: dict[str, WriteCost]
    measured: dict[str, Any]
    assumed: dict[str, float]
    reasons: dict[str, str]
    """Of what is assumed."""
    read_mix: dict[str, float]
    write_mix: dict[str, float]
    rows_of_article: dict[str, float]
    """Rows of each table for each article of the site."""


def load(path: Path = FILE) -> Figures:
    """Raises KeyError or TypeError if a figure is missing."""
    text = json.loads(path.read_text())
    measured, assumed = text["measured"], text["assumed"]
    return Figures(
        {name: ReadCost(**cost) for name, cost in measured["reads"].items()},
        {name: WriteCost(**cost) for name, cost in measured["writes"].items()},
        measured,
        {name: each["value"] for name, each in assumed["values"].items()},
        {name: each["why"] for name, each in assumed["values"].items()},
        assumed["reads of 100"],
        assumed["writes of 100"],
        assumed["rows of an article"],
    )


def save(measured: dict[str, Any], path: Path = FILE) -> None:
    """Replace these measured figures. All others stay."""
    text = json.loads(path.read_text())
    text["measured"] |= measured
    path.write_text(json.dumps(text, indent=1, ensure_ascii=False) + "\n")
