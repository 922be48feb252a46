"""All problems of the databases, found before the server takes requests."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from time import monotonic

import psycopg
from django.core.exceptions import ImproperlyConfigured

from database.backend import Connection, DatabaseWrapper, database_wrappers
from database.prepared import mismatches, queries_of_other_engines
from database.serving import checks, servers
from database.serving.startup import ConnectError, Problem, connect, unreachable


def problems(*, workers: int, threads: int, patience: float) -> Iterator[Problem]:
    """All problems of the databases for a server with this number of processes, and of threads in
    each process.

    Each database has `patience` seconds to accept a connection and to answer.
    """
    databases = database_wrappers()
    try:
        for database in databases.values():
            _ = database.pool  # checks its options, and opens no connection
    except ImproperlyConfigured as error:
        yield Problem(str(error))
        return
    if not databases:
        yield Problem("DATABASES has no database with the ENGINE 'database.backend'.")
        return
    yield from map(Problem, queries_of_other_engines())
    for alias, database in databases.items():
        prefix = f"Database {alias!r}: " if len(databases) > 1 else ""
        for problem in _problems(database, workers, threads, patience):
            yield problem._replace(text=prefix + problem.text)


def _problems(
    database: DatabaseWrapper, workers: int, threads: int, patience: float
) -> Iterator[Problem]:
    until = monotonic() + patience
    check = partial(_connection, database, workers=workers, threads=threads)
    try:
        if database.replicas is not None:
            yield from _of_all_servers(database, check, until)
            return
        with connect(database, patience) as session:
            yield from _of_database(database, session, check, until)
    except ConnectError as error:
        yield error.problem
    except psycopg.errors.InsufficientPrivilege as error:
        yield Problem(checks.lacks_privileges(error))
    except psycopg.OperationalError as error:
        yield Problem(unreachable(error), os.EX_UNAVAILABLE)


def _of_all_servers(
    database: DatabaseWrapper, check: servers.Check, until: float
) -> Iterator[Problem]:
    """A standby has the same tables as the primary. So without a primary, it is checked."""
    every = servers.connect_to_all(database, until - monotonic())
    with ExitStack() as stack:
        for server in every:
            if server.session:
                stack.enter_context(server.session)
        best = servers.best_of(every)
        if best is None:
            # A wrong setting is the same problem for each server.
            yield from dict.fromkeys(server.problem for server in every if server.problem)
            return
        yield from servers.roles(database, every)
        yield from servers.others(every, best, check)
        yield from servers.replication(every)
        yield from servers.positions(database)
        yield from _of_database(database, best, check, until)


def _of_database(
    database: DatabaseWrapper, session: Connection, check: servers.Check, until: float
) -> Iterator[Problem]:
    # A server that freezes now must not block this process forever.
    with session.bounded(max(1, until - monotonic())):
        missing = checks.missing_migrations(database, session)
        yield from checks.migrations(missing)
        yield from checks.role(database, session)
        yield from checks.privileges(database, session)
        yield from check(session)
    if not missing:
        yield from map(Problem, mismatches(session, until - monotonic(), database.alias))


def _connection(
    database: DatabaseWrapper, session: Connection, *, workers: int, threads: int
) -> Iterator[Problem]:
    if database.settings_dict["OPTIONS"].get("pgbouncer"):
        # The server sees PgBouncer's connections only, with limits and TLS settings of their own.
        yield from checks.pgbouncer(database, session)
    else:
        yield from checks.capacity(database, session, workers, threads)
        yield from checks.tls(database, session)
