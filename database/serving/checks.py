"""Whether the database is as the server needs it, asked before it takes traffic."""

import os
from collections.abc import Iterator, Sequence
from operator import itemgetter
from time import monotonic
from typing import Any, LiteralString

import psycopg
from django.core import checks
from django.db import DEFAULT_DB_ALIAS
from django.db.migrations.loader import MigrationLoader

from database.backend import Connection, DatabaseWrapper, database_wrappers
from database.prepared import mismatches, queries_of
from database.serving.startup import Finding, NoDatabase, connect, unreachable
from database.settings import HERE

_DEMAND_TLS = frozenset({"require", "verify-ca", "verify-full"})


def findings(*, workers: int, threads: int, patience: float) -> Iterator[Finding]:
    """Everything that is wrong for a server of so many processes with so many threads each.

    Each database has `patience` seconds to accept a connection, and to answer.
    """
    databases = database_wrappers()
    for alias, database in databases.items():
        for finding in _findings(database, workers, threads, patience):
            if len(databases) == 1:
                yield finding
            else:
                yield finding._replace(text=f"Database {alias!r}: {finding.text}")


def _findings(
    database: DatabaseWrapper, workers: int, threads: int, patience: float
) -> Iterator[Finding]:
    until = monotonic() + patience
    try:
        session = connect(database, patience)
        with session:
            # A server that freezes now must not block this process forever.
            with session.bounded(max(1, until - monotonic())):
                missing = _required(database, session)
                yield from _migrations(missing)
                yield from _role(database, session)
                yield from _rights(database, session)
                if database.settings_dict["OPTIONS"].get("pgbouncer"):
                    # PgBouncer connects to the server, with limits of its own.
                    yield from _pgbouncer(database, session)
                else:
                    yield from _capacity(database, session, workers, threads)
                    yield from _tls(database, session)
            if not missing:
                yield from map(Finding, mismatches(session, until, database.alias))
    except NoDatabase as error:
        yield error.finding
    except psycopg.errors.InsufficientPrivilege as error:
        yield Finding(_forbidden(error))
    except psycopg.OperationalError as error:
        yield Finding(unreachable(error), os.EX_UNAVAILABLE)


def prepared_queries(
    databases: Sequence[str] | None = None, **_: object
) -> list[checks.CheckMessage]:
    """Django's system check: an error for each problem of a declared query."""
    return [
        message
        for alias, database in database_wrappers().items()
        if alias in (databases or ()) and queries_of(alias)
        for message in _prepared_queries(database)
    ]


def _prepared_queries(database: DatabaseWrapper) -> Iterator[checks.CheckMessage]:
    patience = database.limits.hard_deadline
    try:
        # A connection of its own: Django's may be in a transaction.
        with connect(database) as session:
            with session.bounded(patience):
                missing = _required(database, session)
            if missing:
                # An error would stop the first `migrate`, which runs the checks before it begins.
                text = "The declared queries are not checked while migrations are not applied."
                yield checks.Warning(text, id="database.W001")
                return
            texts = mismatches(session, monotonic() + patience, database.alias)
            yield from [checks.Error(text, id="database.E001") for text in texts]
    except NoDatabase as error:
        yield checks.Error(str(error), id="database.E002")
    except psycopg.errors.InsufficientPrivilege as error:
        yield checks.Error(_forbidden(error), id="database.E003")
    except psycopg.OperationalError as error:
        yield checks.Error(unreachable(error), id="database.E002")


def has_unapplied_migrations(database: DatabaseWrapper) -> bool:
    """Whether the database lacks a migration; False if it does not answer."""
    try:
        with connect(database) as session, session.bounded(database.limits.hard_deadline):
            return bool(_unapplied(session))
    except (NoDatabase, psycopg.Error):
        return False  # the system check reports the reason


def _capacity(
    database: DatabaseWrapper, session: Connection, workers: int, threads: int
) -> Iterator[Finding]:
    """Whether the server has room for all connections of every process: those of the pools or
    threads, and one for each probe. Databases on the same server share its room."""
    place = itemgetter("HOST", "PORT")
    sizes = [
        _size(each, threads)
        for each in database_wrappers().values()
        if place(each.settings_dict) == place(database.settings_dict)
    ]
    name = "DATABASE_POOL_MAX" if database.pool else "SERVER_THREADS"
    needed = workers * (sum(sizes) + len(sizes))
    server, role, limit_of_database, *names = _row(
        session,
        "SELECT current_setting('max_connections')::int"
        " - current_setting('superuser_reserved_connections')::int"
        # From PostgreSQL 16 on.
        " - coalesce(current_setting('reserved_connections', true)::int, 0),"
        " rolconnlimit, datconnlimit, rolname, datname"
        " FROM pg_roles, pg_database"
        " WHERE rolname = session_user AND datname = current_database()",
    )
    limits = [
        (server, "max_connections less the reserved ones is"),
        (role, f'the CONNECTION LIMIT of the role "{names[0]}" is'),
        (limit_of_database, f'the CONNECTION LIMIT of the database "{names[1]}" is'),
    ]
    limit, what = min(entry for entry in limits if entry[0] >= 0)  # -1: no limit
    if limit < needed:
        each_process = " + ".join(f"{size} + 1" for size in sizes)
        yield Finding(
            f"The server needs {workers} x ({each_process}) = {needed} connections, and {what}"
            f" {limit}; set SERVER_WORKERS or {name} lower, or that higher."
        )


def _size(database: DatabaseWrapper, threads: int) -> int:
    """How many connections a process opens for its requests."""
    options = database.settings_dict["OPTIONS"].get("pool")
    if not options:
        return threads
    sizes = {} if options is True else options
    size: int = sizes.get("max_size") or sizes.get("min_size", 4)  # as psycopg_pool does
    return size


def _migrations(missing: list[str]) -> Iterator[Finding]:
    if missing:
        yield Finding(
            f"Migrations are not applied, {len(missing)} of them ({missing[0]}, for one);"
            " run `manage.py migrate`."
        )


def _required(database: DatabaseWrapper, session: Connection) -> list[str]:
    """The migrations that are not applied. A second database need not be migrated at all."""
    missing = _unapplied(session)
    is_migrated = _row(session, "SELECT to_regclass('django_migrations') IS NOT NULL")[0]
    return missing if is_migrated or database.alias == DEFAULT_DB_ALIAS else []


def _unapplied(session: Connection) -> list[str]:
    """The migrations that are not applied."""
    (table,) = _row(session, "SELECT to_regclass('django_migrations')")
    applied = set(session.execute("SELECT app, name FROM django_migrations") if table else ())
    return [
        ".".join(key)
        for key, migration in MigrationLoader(None).graph.nodes.items()
        if key not in applied
        # A squashed one is as good as applied when all that it stands for are.
        and not (migration and migration.replaces and applied.issuperset(migration.replaces))
    ]


def _tls(database: DatabaseWrapper, session: Connection) -> Iterator[Finding]:
    """libpq has made sure of the way to whatever it is connected to; the server says whether
    it is TLS that arrives there."""
    mode = database.settings_dict["OPTIONS"].get("sslmode", "prefer")
    host = session.info.host
    (encrypted,) = _row(session, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    if encrypted or host.startswith(("/", "@")):  # a unix socket
        return
    if mode in _DEMAND_TLS:
        yield Finding(
            f"sslmode is {mode}, and the connection arrives at the server without TLS: what"
            " stands between has to use it too, or DATABASE_SSLMODE must say disable."
        )
    elif mode != "disable" and host not in HERE:
        yield _warning(f"What is sent to {host} is not encrypted; set DATABASE_SSLMODE.")


def _role(database: DatabaseWrapper, session: Connection) -> Iterator[Finding]:
    role, superuser = _row(
        session, "SELECT rolname, rolsuper FROM pg_roles WHERE rolname = session_user"
    )
    if superuser and "embedded" not in database.settings_dict["OPTIONS"]:
        yield _warning(
            f'The role "{role}" is a superuser; docs/roles.sql makes one that may do no more'
            " than it needs, for DATABASE_URL."
        )


def _rights(database: DatabaseWrapper, session: Connection) -> Iterator[Finding]:
    """PostgreSQL prepares a statement for a role that may not execute it. A migration adds
    tables, and whoever granted the rights by hand may have forgotten those to come.

    Identities need no right to their sequences.
    """
    # As SQL names them, because a table's name may need its quotes.
    names = {database.ops.quote_name(name) for name in database.introspection.django_table_names()}
    lacking = session.execute(
        "SELECT name FROM unnest(%s::text[]) AS name WHERE NOT ("
        " has_table_privilege(to_regclass(name), 'SELECT')"
        " AND has_table_privilege(to_regclass(name), 'INSERT')"
        " AND has_table_privilege(to_regclass(name), 'UPDATE')"
        " AND has_table_privilege(to_regclass(name), 'DELETE'))",
        [sorted(names)],
    ).fetchall()
    if lacking:
        tables = ", ".join(name for (name,) in lacking)
        yield Finding(
            "The role needs SELECT, INSERT, UPDATE and DELETE, and has not all of them on"
            f" {tables}; docs/roles.sql grants them."
        )


def _forbidden(error: psycopg.Error) -> str:
    return f"The role may too little: {error}; docs/roles.sql grants what it needs."


def _pgbouncer(database: DatabaseWrapper, session: Connection) -> Iterator[Finding]:
    """PgBouncer takes no startup options: what comes with them elsewhere, the role must have."""
    settings = dict(session.execute("SELECT name, setting FROM pg_settings"))
    if settings["TimeZone"] != "UTC":
        yield _of_the_role(session, "TimeZone = 'UTC'")
    deadline = database.limits.hard_deadline * 1000
    if not 0 < int(settings["statement_timeout"]) < deadline:
        yield _of_the_role(session, "statement_timeout = '10s'")
    if int(settings["idle_in_transaction_session_timeout"]) == 0:
        yield _of_the_role(session, "idle_in_transaction_session_timeout = '10s'")


def _of_the_role(session: Connection, setting: str) -> Finding:
    return Finding(
        "Behind PgBouncer the role has to bring what startup options bring elsewhere:"
        f' ALTER ROLE "{session.info.user}" SET {setting};'
    )


def _warning(text: str) -> Finding:
    return Finding(f"Warning: {text}", exit_status=0)


def _row(session: Connection, query: LiteralString) -> tuple[Any, ...]:
    """The one row that the query has."""
    (row,) = session.execute(query)
    return tuple(row)
