"""Random times in the two years before a given time.

A moment is a float: the seconds since the start of the two years. Floats are faster to draw and
to compare than datetimes.
"""

from calendar import month_name
from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random

DAY = 86_400.0  # seconds
LENGTH = 730 * DAY


class Calendar:
    def __init__(self, until: datetime) -> None:
        self._begin = until - timedelta(seconds=LENGTH)

    def instant(self, moment: float) -> datetime:
        return self._begin + timedelta(seconds=moment)

    def month_before(self, moment: float) -> str:
        """The name of the month before the month of this moment."""
        return month_name[(self.instant(moment).month - 2) % 12 + 1]


def rising(rng: Random, count: int, since: float, bend: float) -> Iterator[float]:
    """`count` moments in ascending order; with a bend below 1 they get denser over time."""
    for number in range(count):
        yield since + (LENGTH - since) * ((number + rng.random()) / count) ** bend


def later(rng: Random, moment: float, haste: int) -> float:
    """A moment after this one; with a greater haste it is likely to be sooner."""
    return moment + (LENGTH - moment) * rng.random() ** haste
