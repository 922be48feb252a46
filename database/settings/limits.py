"""The limits of the connection layer."""

from dataclasses import dataclass

# Prepared statements of a connection. PostgreSQL needs up to 0.3 MB for each.
PREPARED_MAX = 50


@dataclass(frozen=True)
class Limits:
    """Limits in seconds. The defaults are those of the environment variables in `url.py`."""

    acquire_timeout: float = 5.0
    """For a whole checkout: the queue, the ping and, if needed, a new connection."""
    ping_timeout: float = 1.0
    """For a round trip of the connection layer: ping, reset, or rollback on return."""
    hard_deadline: float = 15.0
    """From the start of a request to the moment its connection is cut."""
    leak_warning: float = 10.0
    """A connection checked out for longer is logged with the stack that checked it out."""
    slow_query: float = 0.2
    """A statement that takes longer is logged."""
    replica_timeout: float = 2.0
    """A read that waits for one server of several after this is cut, and run again on another."""
