"""How long everything between a request and PostgreSQL may take."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds in seconds; the defaults are those of the environment variables
    (`database/settings/url.py`)."""

    acquire_timeout: float = 5.0
    """The whole of a checkout: the queue, the ping, a new connection if it takes one."""
    ping_timeout: float = 1.0
    """A round trip that the layer itself makes: ping, reset, rollback on return."""
    hard_deadline: float = 15.0
    """From the start of a request to the moment its connection is cut."""
    leak_warning: float = 10.0
    """How long a connection may be out before the log says who took it."""
    slow_query: float = 0.2
    """A statement that takes longer is logged."""
