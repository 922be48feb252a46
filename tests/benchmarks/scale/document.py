"""The tables inside of docs/scale.md. Each is between two comments with its name."""

import re

from config.settings import BASE_DIR
from tests.benchmarks.scale.figures import Figures
from tests.benchmarks.scale.tables import TABLES

PAGE = BASE_DIR / "docs/scale.md"
PLACE = re.compile(r"(<!-- make scale: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def with_tables(figures: Figures) -> str:
    """The page with the tables of these figures. Raises KeyError for an unknown table."""
    return PLACE.sub(
        lambda place: f"{place[1]}{TABLES[place[2]](figures)}{place[3]}", PAGE.read_text()
    )


def tables_of(page: str) -> str:
    return "\n".join(place[0] for place in PLACE.finditer(page))
