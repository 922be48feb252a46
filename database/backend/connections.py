"""Functions for the connections of this process."""

import atexit

import psycopg
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, connections

from database import errors
from database.backend.base import DatabaseWrapper
from database.backend.running import RunningRequest, running_request
from database.metrics import flush


def database_wrapper(alias: str = DEFAULT_DB_ALIAS) -> DatabaseWrapper:
    """The connection of this thread to the database.

    Raises ImproperlyConfigured if the database has another ENGINE.
    """
    wrapper = connections[alias]
    if not isinstance(wrapper, DatabaseWrapper):
        raise ImproperlyConfigured(
            f"DATABASES[{alias!r}] needs the ENGINE 'database.backend' for this."
        )
    return wrapper


def database_wrappers() -> dict[str, DatabaseWrapper]:
    """The connections of this thread to all databases that have this ENGINE, by their aliases."""
    every = {alias: connections[alias] for alias in connections}
    return {alias: each for alias, each in every.items() if isinstance(each, DatabaseWrapper)}


def open_pools(timeout: float) -> None:
    """Open the pool of every database, and wait until each has its minimum of connections.

    Each pool has `timeout` seconds. Raises psycopg.OperationalError (PoolTimeout is one); the pool
    then connects when it is first used. If reads use all servers, and none of them is the primary,
    it does not wait for the pool of writes.
    """
    for wrapper in database_wrappers().values():
        if wrapper.pool is None:
            continue
        if wrapper.replicas:
            wrapper.replicas.open()
            wrapper.replicas.monitor.wait_for_first_look(timeout)
            if not wrapper.replicas.monitor.has_primary:
                wrapper.pool.open()
                continue
        try:
            wrapper.pool.open(wait=True, timeout=timeout)
        except psycopg.OperationalError:
            # psycopg has closed the pool after the timeout. The next use creates another.
            DatabaseWrapper._connection_pools.pop(wrapper.alias, None)
            raise


@atexit.register
def close_pools() -> None:
    """Stop the threads of every pool while the interpreter still runs.

    A pool that is collected later waits 5 s for each thread: a command would end 20 s late.
    """
    for replicas in list(DatabaseWrapper._replicas.values()):
        replicas.close()
    for pool in list(DatabaseWrapper._connection_pools.values()):
        pool.close()
    flush()  # write the metrics of the last second


def has_replicas() -> bool:
    """Whether the reads of a database use all its servers."""
    return any(wrapper.replicas for wrapper in database_wrappers().values())


def ask_positions(request: RunningRequest) -> None:
    """At the start of a read that may use standbys: ask for the position that it must see. Call
    `drop_questions` at its end."""
    for replicas in list(DatabaseWrapper._replicas.values()):
        replicas.acknowledged.ask(request)


def drop_questions(request: RunningRequest) -> None:
    """At the end of a read: fetch the answers that it did not need."""
    for replicas in list(DatabaseWrapper._replicas.values()):
        replicas.acknowledged.drop_question(request)


def record_writes(request: RunningRequest) -> bool:
    """Record the positions of the commits of a request. If it returns True, no read that begins
    afterwards misses them, on any machine. False if the primary is lost, perhaps with them.

    Returns the connections to their pools if it has to wait. Takes at most LEASES_END, or a
    ping timeout more if no primary answers.
    """
    for wrapper in _opened():
        wrapper.record_commits()
    if not request.unrecorded:
        return True
    for wrapper in _opened():
        wrapper.close_if_unused()
    return all(each.wait() for each in request.unrecorded)


def forget_writes() -> None:
    """Forget the commits of a request that has failed: they are not acknowledged."""
    for wrapper in _opened():
        wrapper.forget_writes()


def leave_replica(request: RunningRequest, error: BaseException) -> None:
    """After a failed read: return its connections, and choose another server for its next try."""
    if errors.is_stale_statement(error):
        return  # the connection has discarded its statements; that of another server may not have
    is_lost = errors.is_lost_connection(error)
    for wrapper in _opened():
        if wrapper.replicas is None:
            continue
        works = wrapper.connection is not None and not wrapper.connection.closed
        wrapper.close()
        if not (is_lost and works):  # a request may read from several databases
            wrapper.replicas.note_failure(request, error)


def _opened() -> list[DatabaseWrapper]:
    every = connections.all(initialized_only=True)
    return [wrapper for wrapper in every if isinstance(wrapper, DatabaseWrapper)]


def lift_timeouts(alias: str = DEFAULT_DB_ALIAS) -> None:
    """Turn off the statement timeout and the idle-in-transaction timeout, for a long command.

    This holds for the connection of this thread, until the transaction ends; outside of a
    transaction, until the connection is returned. Behind PgBouncer, other clients share the
    session, so nothing changes outside of a transaction. Nothing changes for another ENGINE, which
    may not know these settings.
    """
    wrapper = connections[alias]
    if not isinstance(wrapper, DatabaseWrapper):
        return
    scope = "LOCAL" if wrapper.in_atomic_block else "SESSION"
    if scope == "SESSION" and wrapper.settings_dict["OPTIONS"].get("pgbouncer"):
        return
    with wrapper.cursor() as cursor:
        cursor.execute(f"SET {scope} statement_timeout = 0")
        cursor.execute(f"SET {scope} idle_in_transaction_session_timeout = 0")


def release_connection() -> None:
    """Return the connection of this request to its pool before long work without queries. The next
    query takes another connection.

    Does nothing inside a transaction, without a pool, or in a command, which may have changed the
    session.
    """
    for wrapper in connections.all(initialized_only=True) if running_request() else ():
        pooled = isinstance(wrapper, DatabaseWrapper) and wrapper.pool
        if pooled and wrapper.autocommit and not wrapper.in_atomic_block:
            wrapper.close()
