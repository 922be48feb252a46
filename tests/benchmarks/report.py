"""The results of a run: each measurement with its target."""

import os
import platform
import shutil
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.kept import program
from tests.benchmarks.subjects import WORKERS


class Row(NamedTuple):
    what: str
    target: str
    reached: str
    met: bool


def at_least(what: str, value: float, bound: float, unit: str = "") -> Row:
    return Row(what, f">= {bound:g}{unit}", f"{value:.3g}{unit}", value >= bound)


def at_most(what: str, value: float, bound: float, unit: str = "") -> Row:
    return Row(what, f"<= {bound:g}{unit}", f"{value:.3g}{unit}", value <= bound)


def show(rows: Iterable[Row]) -> None:
    rows = list(rows)
    widths = [max(map(len, column)) for column in list(zip(*rows, strict=True))[:3]]
    print(f"\n{'what':{widths[0]}}  {'target':>{widths[1]}}  {'reached':>{widths[2]}}")
    for what, target, reached, met in rows:
        mark = "" if met else "  MISSED"
        print(f"{what:{widths[0]}}  {target:>{widths[1]}}  {reached:>{widths[2]}}{mark}")
    print(f"\n{sum(row.met for row in rows)} of {len(rows)} met. {machine()}")


def machine() -> str:
    """The machine, the versions of its software, and the time."""
    postgres = subprocess.check_output([program("postgres"), "--version"], text=True)  # noqa: S603
    packages = ("Django", "djangorestframework", "psycopg", "granian", "fastapi", "asyncpg")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    generator = "wrk" if shutil.which("wrk") else "the project's own load generator"
    return (
        f"{_cpu_model()}, {len(os.sched_getaffinity(0))} cores; granian with {WORKERS} workers; "
        f"Python {platform.python_version()}, {versions}, {postgres.strip()}; {generator}; "
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC."
    )


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
