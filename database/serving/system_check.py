"""Django's system check of the declared queries."""

from collections.abc import Iterator, Sequence

import psycopg
from django.core.checks import CheckMessage, Error, Warning

from database.backend import DatabaseWrapper, database_wrappers
from database.prepared import mismatches, queries_of, queries_of_other_engines
from database.serving.checks import lacks_privileges, missing_migrations
from database.serving.startup import ConnectError, connect, unreachable


def check_queries(databases: Sequence[str] | None = None, **_: object) -> list[CheckMessage]:
    """An error for each problem of a declared query, in the given databases."""
    if not databases:
        return []
    messages: list[CheckMessage] = [
        Error(text, id="database.E004") for text in queries_of_other_engines()
    ]
    for alias, database in database_wrappers().items():
        if alias in databases and queries_of(alias):
            messages += _check(database)
    return messages


def _check(database: DatabaseWrapper) -> Iterator[CheckMessage]:
    patience = database.limits.hard_deadline
    try:
        # Not Django's connection, which may be in a transaction.
        with connect(database) as session:
            with session.bounded(patience):
                missing = missing_migrations(database, session)
            if missing:
                # An error would stop the first `migrate`, which runs the checks before it begins.
                text = "The declared queries are not checked while migrations are not applied."
                yield Warning(text, id="database.W001")
                return
            for text in mismatches(session, patience, database.alias):
                yield Error(text, id="database.E001")
    except ConnectError as error:
        yield Error(str(error), id="database.E002")
    except psycopg.errors.InsufficientPrivilege as error:
        yield Error(lacks_privileges(error), id="database.E003")
    except psycopg.OperationalError as error:
        yield Error(unreachable(error), id="database.E002")
