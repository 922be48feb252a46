"""What the database's errors mean to the code above it."""

import psycopg
from django.db import IntegrityError
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests


def refers_to_nothing(error: IntegrityError) -> bool:
    """Whether a write named a row that does not exist: it was deleted a moment ago."""
    return isinstance(error.__cause__, psycopg.errors.ForeignKeyViolation)


def violated_constraint(error: IntegrityError) -> str | None:
    """The name of the constraint that refused a write, as PostgreSQL gives it."""
    cause = error.__cause__
    return cause.diag.constraint_name if isinstance(cause, psycopg.Error) else None


def may_be_committed(cause: BaseException | None) -> bool:
    """Whether a write that ended with this error of the driver's may have taken effect.

    It may when the connection broke: there was no answer, or the server's last words were
    that it ends the session (classes 08 and 57P of the error codes). It has not when there
    was no connection at all, or when PostgreSQL itself refused.
    """
    if isinstance(cause, PoolTimeout | PoolClosed | TooManyRequests):
        return False
    if not isinstance(cause, psycopg.Error):
        return True
    if cause.pgconn is not None:  # the attempt to connect failed
        return False
    return cause.sqlstate is None or cause.sqlstate.startswith(("08", "57P"))
