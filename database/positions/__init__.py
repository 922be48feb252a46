"""How far the acknowledged writes have come, shared by all machines through Redis.

With it, a read on a standby makes sure that it sees every write that was acknowledged before.
"""

from typing import TYPE_CHECKING

from database.positions.position import LEASE, Position, PositionsUnavailable

if TYPE_CHECKING:
    from database.positions.session import RedisSession
    from database.positions.shared import SharedPosition

__all__ = [
    "LEASE",
    "Position",
    "PositionsUnavailable",
    "RedisSession",
    "SharedPosition",
    "shared_position",
]


def shared_position(url: str, name: str) -> "SharedPosition":
    """The position of the database cluster `name`, in the Redis at `url`. Connects at the first
    use. Raises ValueError for a URL that redis-py does not understand."""
    # Imported only if it is used, because the import takes 0.1 s.
    from database.positions.shared import SharedPosition

    return SharedPosition(url, name)
