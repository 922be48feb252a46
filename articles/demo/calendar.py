"""When things happen: in the two years before a given instant.

Moments are seconds since the beginning, as floats: they compare and draw faster than
datetimes, and a million of them is an array.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random

DAY = 86_400.0  # seconds
LENGTH = 730 * DAY
MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]


class Calendar:
    def __init__(self, until: datetime) -> None:
        self._begin = until - timedelta(seconds=LENGTH)

    def instant(self, moment: float) -> datetime:
        return self._begin + timedelta(seconds=moment)

    def month_before(self, moment: float) -> str:
        """The name of the month before the one of this moment."""
        return MONTHS[self.instant(moment).month - 2]


def rising(rng: Random, count: int, since: float, bend: float) -> Iterator[float]:
    """`count` moments in their order; with a bend below 1 they get denser over time."""
    for number in range(count):
        yield since + (LENGTH - since) * ((number + rng.random()) / count) ** bend


def later(rng: Random, moment: float, haste: int) -> float:
    """Some moment after this one; the greater the haste, the sooner."""
    return moment + (LENGTH - moment) * rng.random() ** haste
