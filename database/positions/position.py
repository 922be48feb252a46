"""A place in the write-ahead log (WAL) of PostgreSQL."""

from functools import lru_cache
from typing import NamedTuple, Self

LEASE = 2.0  # seconds that a lease lives (`shared.py`)


class Position(NamedTuple):
    """A timeline and an LSN, compared in this order.

    Each promotion of a standby begins a timeline. An LSN alone says nothing: a server that has
    followed an old timeline for too long may have a larger LSN than the new primary.
    """

    timeline: int
    lsn: int
    """Bytes since the first WAL record."""

    def __str__(self) -> str:
        """The timeline, a slash, and the LSN as PostgreSQL writes it."""
        return f"{self.timeline}/{self.lsn >> 32:X}/{self.lsn & 0xFFFFFFFF:X}"

    def encoded(self) -> bytes:
        """A text that Redis can compare: hexadecimal numbers of fixed length."""
        return b"%08X/%016X" % self

    @classmethod
    @lru_cache(maxsize=64)  # usually nothing was written since the last read
    def decoded(cls, text: bytes) -> Self:
        """Raises ValueError."""
        timeline, _, lsn = text.partition(b"/")
        return cls(int(timeline, 16), int(lsn, 16))


class PositionsUnavailable(Exception):
    """Redis does not answer. The message names the error, and contains no password."""
