"""What the database's errors mean to the code above it."""

from enum import Enum

import psycopg
from django.db import IntegrityError, InternalError, OperationalError
from psycopg.errors import (
    ConnectionTimeout,
    FeatureNotSupported,
    IdleInTransactionSessionTimeout,
    InvalidSqlStatementName,
    QueryCanceled,
    ReadOnlySqlTransaction,
)
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests


class NotConnected(psycopg.OperationalError):
    """There is nothing to connect with: no embedded server, no password in its file."""


class Failure(Enum):
    """What a client is told of a fault in the database: not why, but what it may do next."""

    UNAVAILABLE = "unavailable"
    """Nothing has happened; it may be tried again."""
    OUTCOME_UNKNOWN = "outcome_unknown"
    """The connection was lost after a write was sent: it may have taken effect."""
    TIMED_OUT = "timed_out"
    """The statement took longer than it may, and was undone."""


def failure_of(error: BaseException | None, *, writes: bool) -> Failure | None:
    """What has failed, if it was the database; `writes` says whether it was asked to write.

    None for errors of the program, among them a constraint that refused.
    """
    cause = error.__cause__ if error else None
    if error and was_outdated(error):
        return Failure.UNAVAILABLE
    if isinstance(error, InternalError):
        # Django's class also for a transaction that idled too long, and for a write that came
        # to a server which is not the primary any more. Others are bugs.
        passing = isinstance(cause, IdleInTransactionSessionTimeout | ReadOnlySqlTransaction)
        return Failure.UNAVAILABLE if passing else None
    if not isinstance(error, OperationalError):
        return None
    if isinstance(cause, QueryCanceled):
        return Failure.TIMED_OUT
    if writes and was_lost(error):
        return Failure.OUTCOME_UNKNOWN
    return Failure.UNAVAILABLE


def was_lost(error: BaseException) -> bool:
    """Whether a connection broke while it was in use, so that nobody knows what became of
    the last statement: there was no answer, or the server's last words were that it ends the
    session (classes 08 and 57P of the error codes).

    Not so where there was no connection at all, or where PostgreSQL itself refused.
    """
    cause = error.__cause__
    if not isinstance(error, OperationalError) or found_no_connection(error):
        return False
    if not isinstance(cause, psycopg.Error):
        return True
    return cause.sqlstate is None or cause.sqlstate.startswith(("08", "57P"))


def was_outdated(error: BaseException) -> bool:
    """Whether a statement had been prepared for tables that are others now, or is not there any
    more. It surfaces in a transaction only, which is undone with everything in it; after that
    the statement is prepared anew.
    """
    cause = error.__cause__
    if isinstance(cause, FeatureNotSupported):
        # The code means many things, and the words may be in any language: it is known by the
        # function of PostgreSQL that looks whether a plan still holds.
        return cause.diag.source_function == "RevalidateCachedQuery"
    return isinstance(cause, InvalidSqlStatementName)


def found_no_connection(error: BaseException) -> bool:
    """Whether there was none to be had: none was free in time, or none could be opened."""
    cause = error.__cause__
    if isinstance(cause, PoolTimeout | PoolClosed | TooManyRequests):
        return True
    if isinstance(cause, NotConnected | ConnectionTimeout):
        return True
    # psycopg attaches what it had of a connection to the error of an attempt, and to no other.
    return isinstance(cause, psycopg.Error) and cause.pgconn is not None


def refers_to_nothing(error: IntegrityError) -> bool:
    """Whether a write named a row that does not exist: it was deleted a moment ago."""
    return isinstance(error.__cause__, psycopg.errors.ForeignKeyViolation)


def violated_constraint(error: IntegrityError) -> str | None:
    """The name of the constraint that refused a write, as PostgreSQL gives it."""
    cause = error.__cause__
    return cause.diag.constraint_name if isinstance(cause, psycopg.Error) else None
