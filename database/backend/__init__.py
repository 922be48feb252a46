"""Django's ENGINE: a PostgreSQL backend whose connections and pool survive faults.

Settings name it: `"ENGINE": "database.backend"`. Importing it also makes forks safe (`forks.py`).
"""

from database.backend import forks as forks
from database.backend.base import DatabaseWrapper
from database.backend.cleanup import declare_harmless
from database.backend.connection import Connection
from database.backend.connections import (
    close_pools,
    database_wrapper,
    database_wrappers,
    lift_timeouts,
    open_pools,
    release_connection,
)
from database.backend.outages import cause_of
from database.backend.pool import Pool
from database.backend.running import RunningRequest, running_requests
from database.backend.snapshot import longest_held, pool_states, session_ids

__all__ = [
    "Connection",
    "DatabaseWrapper",
    "Pool",
    "RunningRequest",
    "cause_of",
    "close_pools",
    "database_wrapper",
    "database_wrappers",
    "declare_harmless",
    "lift_timeouts",
    "longest_held",
    "open_pools",
    "pool_states",
    "release_connection",
    "running_requests",
    "session_ids",
]
