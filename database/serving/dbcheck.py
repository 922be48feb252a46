"""All problems of the databases, found before the server takes requests."""

import os
from collections.abc import Iterator
from time import monotonic

import psycopg
from django.core.exceptions import ImproperlyConfigured

from database.backend import Connection, DatabaseWrapper, database_wrappers
from database.prepared import mismatches, queries_of_other_engines
from database.serving import checks
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
    try:
        with connect(database, patience) as session:
            # A server that freezes now must not block this process forever.
            with session.bounded(max(1, until - monotonic())):
                missing = checks.missing_migrations(database, session)
                yield from checks.migrations(missing)
                yield from checks.role(database, session)
                yield from checks.privileges(database, session)
                yield from _connection(database, session, workers, threads)
            if not missing:
                yield from map(Problem, mismatches(session, until - monotonic(), database.alias))
    except ConnectError as error:
        yield error.problem
    except psycopg.errors.InsufficientPrivilege as error:
        yield Problem(checks.lacks_privileges(error))
    except psycopg.OperationalError as error:
        yield Problem(unreachable(error), os.EX_UNAVAILABLE)


def _connection(
    database: DatabaseWrapper, session: Connection, workers: int, threads: int
) -> Iterator[Problem]:
    if database.settings_dict["OPTIONS"].get("pgbouncer"):
        # The server sees PgBouncer's connections only, with limits and TLS settings of their own.
        yield from checks.pgbouncer(database, session)
    else:
        yield from checks.capacity(database, session, workers, threads)
        yield from checks.tls(database, session)
