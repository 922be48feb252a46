"""Whether the server of the database allows all connections of the processes of this machine."""

from operator import itemgetter
from typing import NamedTuple

from database.backend import Connection, DatabaseWrapper, database_wrappers


class Capacity(NamedTuple):
    needed: int
    """Connections that all processes of this machine may open."""
    limit: int
    """Connections that the server gives to the role."""
    of_server: int
    """Connections that the server gives to all roles without reserved ones."""
    shortage: str
    """A sentence if `limit` is less than `needed`; otherwise ""."""


def capacity(
    database: DatabaseWrapper, session: Connection, workers: int, threads: int
) -> Capacity:
    """The connections that all processes may open are those of each pool (or thread) and one of
    each probe. Databases on the same server share its limit. If reads use all servers, any of them
    may get all connections: it may become the primary."""
    server = itemgetter("HOST", "PORT")
    sizes = [
        size
        for each in database_wrappers().values()
        if server(each.settings_dict) == server(database.settings_dict)
        for size in (*_max_connections(each, threads), 1)
    ]
    needed = workers * sum(sizes)
    limits = _connection_limits(session)
    limit, source = min(limits)
    each_process = " + ".join(map(str, sizes))
    sentence = (
        f"The server needs {workers} x ({each_process}) = {needed} connections, but {source} is"
        f" {limit}; lower {_variables(database)}, or raise this limit."
    )
    return Capacity(needed, limit, limits[0][0], sentence if limit < needed else "")


def _max_connections(database: DatabaseWrapper, threads: int) -> list[int]:
    """How many connections a process opens to one server for its requests, for each pool."""
    if database.pool is None:
        return [threads]
    reads = [database.replicas.nodes[0].pool.max_size] if database.replicas else []
    return [database.pool.max_size, *reads]


def _variables(database: DatabaseWrapper) -> str:
    if database.pool is None:
        return "SERVER_WORKERS or SERVER_THREADS"
    if database.replicas is None:
        return "SERVER_WORKERS or DATABASE_POOL_MAX"
    return "SERVER_WORKERS, DATABASE_POOL_MAX or DATABASE_READ_POOL_MAX"


def _connection_limits(session: Connection) -> list[tuple[int, str]]:
    """The limits of connections and their names; the server's is the first."""
    (row,) = session.execute(
        "SELECT current_setting('max_connections')::int"
        " - current_setting('superuser_reserved_connections')::int"
        # Since PostgreSQL 16.
        " - coalesce(current_setting('reserved_connections', true)::int, 0),"
        " rolconnlimit, datconnlimit, rolname, datname"
        " FROM pg_roles, pg_database"
        " WHERE rolname = session_user AND datname = current_database()",
    )
    of_server, of_role, of_database, role_name, database_name = row
    limits = [
        (of_server, "max_connections minus the reserved ones"),
        (of_role, f'the CONNECTION LIMIT of the role "{role_name}"'),
        (of_database, f'the CONNECTION LIMIT of the database "{database_name}"'),
    ]
    return [limit for limit in limits if limit[0] >= 0]  # -1: no limit
