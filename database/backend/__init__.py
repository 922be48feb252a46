"""Django's ENGINE: a PostgreSQL backend whose connections and pool survive faults.

Settings name it: `"ENGINE": "database.backend"`. Importing it also makes forks safe (`forks.py`).
"""

from database.backend import forks as forks
from database.backend.base import DatabaseWrapper
from database.backend.cleanup import declare_harmless
from database.backend.connection import Connection
from database.backend.connections import (
    ask_positions,
    close_pools,
    database_wrapper,
    database_wrappers,
    drop_questions,
    forget_writes,
    has_replicas,
    leave_replica,
    lift_timeouts,
    open_pools,
    record_writes,
    release_connection,
)
from database.backend.monitor import Monitor, ServerState
from database.backend.outages import cause_of
from database.backend.pool import Pool
from database.backend.pools import server_addresses
from database.backend.running import RunningRequest, running_requests
from database.backend.snapshot import longest_held, pool_states, server_states, session_ids

__all__ = [
    "Connection",
    "DatabaseWrapper",
    "Monitor",
    "Pool",
    "RunningRequest",
    "ServerState",
    "ask_positions",
    "cause_of",
    "close_pools",
    "database_wrapper",
    "database_wrappers",
    "declare_harmless",
    "drop_questions",
    "forget_writes",
    "has_replicas",
    "leave_replica",
    "lift_timeouts",
    "longest_held",
    "open_pools",
    "pool_states",
    "record_writes",
    "release_connection",
    "running_requests",
    "server_addresses",
    "server_states",
    "session_ids",
]
