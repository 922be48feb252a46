"""Whether the database is as the server needs it, asked before it takes traffic."""

import os
from collections.abc import Iterator, Sequence
from time import monotonic
from typing import Any, LiteralString

import psycopg
from django.core import checks
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.migrations.loader import MigrationLoader

from database.backend import Connection, database_wrapper
from database.prepared import mismatches, queries_of
from database.serving.startup import Finding, NoDatabase, connect, unreachable
from database.settings import HERE

_DEMAND_TLS = frozenset({"require", "verify-ca", "verify-full"})


def findings(*, workers: int, threads: int, patience: float) -> Iterator[Finding]:
    """Everything that is wrong for a server of so many processes with so many threads each.

    The database has `patience` seconds to appear, and to answer.
    """
    until = monotonic() + patience
    try:
        session = connect(patience)
        with session:
            # A server that freezes now must not keep this process for ever.
            with session.bounded(max(1, until - monotonic())):
                missing = _unapplied(session)
                yield from _migrations(missing)
                yield from _role(session)
                yield from _rights(session)
                if database_wrapper().settings_dict["OPTIONS"].get("pgbouncer"):
                    # What connects to the server is PgBouncer, with limits of its own.
                    yield from _pgbouncer(session)
                else:
                    yield from _capacity(session, workers, threads)
                    yield from _tls(session)
            if not missing:
                yield from map(Finding, mismatches(session, until, DEFAULT_DB_ALIAS))
        for alias in connections:
            if alias != DEFAULT_DB_ALIAS and queries_of(alias):
                with connect(max(0, until - monotonic()), alias) as session:
                    yield from map(Finding, mismatches(session, until, alias))
    except NoDatabase as error:
        yield error.finding
    except psycopg.errors.InsufficientPrivilege as error:
        yield Finding(_forbidden(error))
    except psycopg.OperationalError as error:
        yield Finding(unreachable(error), os.EX_UNAVAILABLE)


def prepared_queries(
    databases: Sequence[str] | None = None, **_: object
) -> list[checks.CheckMessage]:
    """Django's system check: an error for each mismatch of a query that is declared for one of
    these databases."""
    return [
        message
        for alias in databases or ()
        if queries_of(alias)
        for message in _check_messages(alias)
    ]


def _check_messages(alias: str) -> list[checks.CheckMessage]:
    patience = database_wrapper(alias).limits.hard_deadline
    try:
        # Not Django's connection, which may be in a transaction.
        with connect(alias=alias) as session:
            with session.bounded(patience):
                missing = _unapplied(session)
            if missing:
                # No error: it would stop the first `migrate`, which looks here before it begins.
                text = "The declared queries are not checked while migrations are not applied."
                return [checks.Warning(text, id="database.W001")]
            texts = mismatches(session, monotonic() + patience, alias)
            return [checks.Error(text, id="database.E001") for text in texts]
    except NoDatabase as error:
        return [checks.Error(str(error), id="database.E002")]
    except psycopg.errors.InsufficientPrivilege as error:
        return [checks.Error(_forbidden(error), id="database.E003")]
    except psycopg.OperationalError as error:
        return [checks.Error(unreachable(error), id="database.E002")]


def has_unapplied_migrations() -> bool:
    """Whether the default database lacks a migration; False if it cannot be asked."""
    try:
        with (
            connect() as session,
            session.bounded(database_wrapper().limits.hard_deadline),
        ):
            return bool(_unapplied(session))
    except (NoDatabase, psycopg.Error):
        return False  # the system check says why


def _capacity(session: Connection, workers: int, threads: int) -> Iterator[Finding]:
    """Whether every process gets all the connections that it may open, and one for its probe."""
    pool = database_wrapper().settings_dict["OPTIONS"].get("pool")
    each, name = (pool["max_size"], "DATABASE_POOL_MAX") if pool else (threads, "SERVER_THREADS")
    needed = workers * (each + 1)
    server, role, database, *names = _row(
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
        (database, f'the CONNECTION LIMIT of the database "{names[1]}" is'),
    ]
    limit, what = min(entry for entry in limits if entry[0] >= 0)  # -1: there is none
    if limit < needed:
        yield Finding(
            f"The server needs {workers} x ({each} + 1) = {needed} connections, and {what}"
            f" {limit}; set SERVER_WORKERS or {name} lower, or that higher."
        )


def _migrations(missing: list[str]) -> Iterator[Finding]:
    if missing:
        yield Finding(
            f"Migrations are not applied, {len(missing)} of them ({missing[0]}, for one);"
            " run `manage.py migrate`."
        )


def _unapplied(session: Connection) -> list[str]:
    """The migrations that the code has and the database has not."""
    (table,) = _row(session, "SELECT to_regclass('django_migrations')")
    applied = set(session.execute("SELECT app, name FROM django_migrations") if table else ())
    return [
        ".".join(key)
        for key, migration in MigrationLoader(None).graph.nodes.items()
        if key not in applied
        # A squashed one is as good as applied when all that it stands for are.
        and not (migration and migration.replaces and applied.issuperset(migration.replaces))
    ]


def _tls(session: Connection) -> Iterator[Finding]:
    """libpq has made sure of the way to whatever it is connected to; the server says whether
    it is TLS that arrives there."""
    mode = database_wrapper().settings_dict["OPTIONS"].get("sslmode", "prefer")
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


def _role(session: Connection) -> Iterator[Finding]:
    role, superuser = _row(
        session, "SELECT rolname, rolsuper FROM pg_roles WHERE rolname = session_user"
    )
    if superuser and "embedded" not in database_wrapper().settings_dict["OPTIONS"]:
        yield _warning(
            f'The role "{role}" is a superuser; docs/roles.sql makes one that may do no more'
            " than it needs, for DATABASE_URL."
        )


def _rights(session: Connection) -> Iterator[Finding]:
    """PostgreSQL prepares a statement for a role that may not execute it. A migration adds
    tables, and whoever granted the rights by hand may have forgotten those to come.

    Identities need no right to their sequences.
    """
    database = database_wrapper()
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


def _pgbouncer(session: Connection) -> Iterator[Finding]:
    """PgBouncer takes no startup options: what comes with them elsewhere, the role must have."""
    settings = dict(session.execute("SELECT name, setting FROM pg_settings"))
    if settings["TimeZone"] != "UTC":
        yield _of_the_role(session, "TimeZone = 'UTC'")
    deadline = database_wrapper().limits.hard_deadline * 1000
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
