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
    each probe. Databases on the same server share its limit."""
    server = itemgetter("HOST", "PORT")
    sizes = [
        _max_connections(each, threads)
        for each in database_wrappers().values()
        if server(each.settings_dict) == server(database.settings_dict)
    ]
    needed = workers * (sum(sizes) + len(sizes))
    limits = _connection_limits(session)
    limit, source = min(limits)
    variable = "DATABASE_POOL_MAX" if database.pool else "SERVER_THREADS"
    each_process = " + ".join(f"{size} + 1" for size in sizes)
    sentence = (
        f"The server needs {workers} x ({each_process}) = {needed} connections, but {source} is"
        f" {limit}; lower SERVER_WORKERS or {variable}, or raise this limit."
    )
    return Capacity(needed, limit, limits[0][0], sentence if limit < needed else "")


def _max_connections(database: DatabaseWrapper, threads: int) -> int:
    """How many connections a process opens for its requests."""
    pool = database.pool
    return pool.max_size if pool else threads


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
