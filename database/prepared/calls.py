"""Calls of two prepared queries in one round trip."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from django.db.backends.utils import CursorWrapper

from database.backend import database_wrapper


class Call[Row](NamedTuple):
    """A prepared query with the arguments of one call."""

    text: str
    values: Sequence[Any]
    make_row: Callable[[Any], Row]
    using: str

    def rows(self, cursor: CursorWrapper) -> list[Row]:
        """Raises what a queryset raises, and OverflowError for an integer of more than 64 bits."""
        cursor.execute(self.text, self.values)
        return [*map(self.make_row, cursor.fetchall())]


def together[First, Second](
    first: Call[First], second: Call[Second]
) -> tuple[list[First], list[Second]]:
    """The rows of both calls, with one round trip to PostgreSQL. Behind PgBouncer, and without the
    fast path, the calls need a round trip each.

    The time of the round trip counts as the time of the first call. Raises ValueError for two
    databases, and what each call raises.
    """
    if first.using != second.using:
        raise ValueError(f"the calls are for two databases: {first.using} and {second.using}")
    with database_wrapper(first.using).prepared_cursor() as cursor:
        cursor.announce(second.text, second.values)
        return first.rows(cursor), second.rows(cursor)
