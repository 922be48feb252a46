"""The single checks of a database. Each yields a problem, or nothing."""

from collections.abc import Iterator
from typing import Any, LiteralString

import psycopg
from django.db import DEFAULT_DB_ALIAS
from django.db.migrations.loader import MigrationLoader

from database import health
from database.backend import Connection, DatabaseWrapper
from database.serving.startup import ConnectError, Problem, connect, warning
from database.settings import LOCAL_HOSTS

_MODES_WITH_TLS = frozenset({"require", "verify-ca", "verify-full"})


def migrations(missing: list[str]) -> Iterator[Problem]:
    if missing:
        yield Problem(
            f"Unapplied migrations: {len(missing)}, for example {missing[0]};"
            " run `manage.py migrate`."
        )


def has_unapplied_migrations(database: DatabaseWrapper) -> bool:
    """Whether the database lacks a migration; False if it does not answer."""
    try:
        with connect(database) as session, session.bounded(database.limits.hard_deadline):
            return bool(_unapplied_migrations(session))
    except (ConnectError, psycopg.Error):
        return False  # the system check reports the cause


def missing_migrations(database: DatabaseWrapper, session: Connection) -> list[str]:
    """The unapplied migrations; an empty list for a second database that was never migrated."""
    if database.alias != DEFAULT_DB_ALIAS and not _has_migrations_table(session):
        return []
    return _unapplied_migrations(session)


def _unapplied_migrations(session: Connection) -> list[str]:
    query = "SELECT app, name FROM django_migrations"
    applied = set(session.execute(query) if _has_migrations_table(session) else ())
    return [
        ".".join(key)
        for key, migration in MigrationLoader(None).graph.nodes.items()
        if key not in applied
        # A squashed migration counts as applied when all migrations that it replaces are applied.
        and not (migration and migration.replaces and applied.issuperset(migration.replaces))
    ]


def _has_migrations_table(session: Connection) -> bool:
    return bool(_row(session, "SELECT to_regclass('django_migrations') IS NOT NULL")[0])


def role(database: DatabaseWrapper, session: Connection) -> Iterator[Problem]:
    name, is_superuser = _row(
        session, "SELECT rolname, rolsuper FROM pg_roles WHERE rolname = session_user"
    )
    if is_superuser and "embedded" not in database.settings_dict["OPTIONS"]:
        yield warning(
            f'The role "{name}" is a superuser; docs/roles.sql creates a role with fewer'
            " privileges for DATABASE_URL."
        )


def privileges(database: DatabaseWrapper, session: Connection) -> Iterator[Problem]:
    """Check the privileges on every table, because a grant may not cover the tables of a new
    migration. Preparing a statement does not check them. Identity columns need none on sequences.
    """
    # to_regclass() takes names as in SQL, where some need quotes.
    names = {database.ops.quote_name(name) for name in database.introspection.django_table_names()}
    lacking = session.execute(
        "SELECT DISTINCT name FROM unnest(%s::text[]) AS name,"
        " unnest('{SELECT, INSERT, UPDATE, DELETE}'::text[]) AS privilege"
        " WHERE NOT has_table_privilege(to_regclass(name), privilege) ORDER BY name",
        [[*names]],
    ).fetchall()
    if lacking:
        tables = ", ".join(name for (name,) in lacking)
        yield Problem(
            "The database role lacks SELECT, INSERT, UPDATE or DELETE on these tables:"
            f" {tables}; docs/roles.sql grants them."
        )


def lacks_privileges(error: psycopg.Error) -> str:
    return f"The database role lacks privileges: {error}; docs/roles.sql grants them."


def capacity(
    database: DatabaseWrapper, session: Connection, workers: int, threads: int
) -> Iterator[Problem]:
    if sentence := health.capacity(database, session, workers, threads).shortage:
        yield Problem(sentence)


def tls(database: DatabaseWrapper, session: Connection) -> Iterator[Problem]:
    """Check that TLS reaches the server: libpq sees only the connection to a proxy in between."""
    mode = database.settings_dict["OPTIONS"].get("sslmode", "prefer")
    host = session.info.host
    (encrypted,) = _row(session, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    if encrypted or host.startswith(("/", "@")):  # a unix socket
        return
    if mode in _MODES_WITH_TLS:
        yield Problem(
            f"sslmode is {mode}, but the connection reaches the server without TLS; use TLS"
            " between the proxy and the server too, or set DATABASE_SSLMODE=disable."
        )
    elif mode != "disable" and host not in LOCAL_HOSTS:
        yield warning(f"The connection to {host} is not encrypted; set DATABASE_SSLMODE.")


def pgbouncer(database: DatabaseWrapper, session: Connection) -> Iterator[Problem]:
    """Check the settings of the role: PgBouncer does not accept startup options."""
    settings = dict(session.execute("SELECT name, setting FROM pg_settings"))
    if settings["TimeZone"] != "UTC":
        yield _missing_setting(session, "TimeZone = 'UTC'")
    deadline = database.limits.hard_deadline * 1000
    if not 0 < int(settings["statement_timeout"]) < deadline:
        yield _missing_setting(session, "statement_timeout = '10s'")
    if int(settings["idle_in_transaction_session_timeout"]) == 0:
        yield _missing_setting(session, "idle_in_transaction_session_timeout = '10s'")


def _missing_setting(session: Connection, setting: str) -> Problem:
    return Problem(
        "PgBouncer does not accept startup options, so the role needs this setting:"
        f' ALTER ROLE "{session.info.user}" SET {setting};'
    )


def _row(session: Connection, query: LiteralString) -> tuple[Any, ...]:
    (row,) = session.execute(query)
    return tuple(row)
