"""What a program does with the connections of its process."""

import atexit
from typing import cast

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections

from database.backend.base import DatabaseWrapper
from database.backend.running import running_request
from database.metrics import flush


def database_wrapper(alias: str = DEFAULT_DB_ALIAS) -> DatabaseWrapper:
    """The connection of this thread to the database."""
    return cast(DatabaseWrapper, connections[alias])


def open_pools(timeout: float) -> None:
    """Open the pool of every database, and wait until it has its minimum of connections.

    Raises psycopg_pool.PoolTimeout if one has not after `timeout` seconds, or
    psycopg.OperationalError; the pool then connects at the first use.
    """
    for wrapper in connections.all():
        pool = wrapper.pool if isinstance(wrapper, DatabaseWrapper) else None
        if pool is None:
            continue
        try:
            pool.open(wait=True, timeout=timeout)
        except psycopg.OperationalError:
            # psycopg closes a pool that was waited for in vain.
            DatabaseWrapper._connection_pools.pop(wrapper.alias, None)
            raise


@atexit.register
def close_pools() -> None:
    """Stop the threads of every pool before the interpreter takes them away: a pool that
    is collected later waits 5 s for each of them, and a management command ends 20 s late.
    """
    for pool in list(DatabaseWrapper._connection_pools.values()):
        pool.close()
    flush()  # what was observed in the last second


def lift_timeouts(alias: str = DEFAULT_DB_ALIAS) -> None:
    """For a command that may take its time: no time-out for statements and for idling in
    this thread's connection, until the transaction ends or, outside of one, it is given back.

    Behind PgBouncer, outside of a transaction, the session is everybody's: nothing changes.
    """
    wrapper = connections[alias]
    scope = "LOCAL" if wrapper.in_atomic_block else "SESSION"
    if scope == "SESSION" and wrapper.settings_dict["OPTIONS"].get("pgbouncer"):
        return
    with wrapper.cursor() as cursor:
        cursor.execute(f"SET {scope} statement_timeout = 0")
        cursor.execute(f"SET {scope} idle_in_transaction_session_timeout = 0")


def release_connection() -> None:
    """Give the connection of the request at work back to its pool, before something that takes
    long and asks the database nothing: the next query takes another.

    In a transaction it stays, as it does without a pool; and in a command, whose session may
    be one of its own making.
    """
    for wrapper in connections.all(initialized_only=True) if running_request() else ():
        pooled = isinstance(wrapper, DatabaseWrapper) and wrapper.pool
        if pooled and wrapper.autocommit and not wrapper.in_atomic_block:
            wrapper.close()
