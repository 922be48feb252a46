"""Classify the errors of PostgreSQL, psycopg and the pool."""

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
    SerializationFailure,
)
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests


class NotConnected(psycopg.OperationalError):
    """The parameters of a connection are not available: the embedded server does not start, or
    the password file cannot be read."""


class Failure(Enum):
    """How a request failed because of the database: what the client may do next."""

    UNAVAILABLE = "unavailable"
    """The request had no effect. The client may retry."""
    OUTCOME_UNKNOWN = "outcome_unknown"
    """The connection was lost after a write was sent. The write may have taken effect."""
    TIMED_OUT = "timed_out"
    """A statement exceeded its timeout and was rolled back."""


def failure_of(error: BaseException | None, *, writes: bool) -> Failure | None:
    """The failure that an error means; None if the error is not a fault of the database.

    `writes` says whether the request may have sent a write. A violated constraint is no fault.
    """
    cause = error.__cause__ if error else None
    if error and is_stale_statement(error):
        return Failure.UNAVAILABLE
    if isinstance(error, InternalError):
        # Two of Django's InternalErrors are temporary: the idle-in-transaction timeout, and a
        # write on a server that is not the primary. The others are bugs.
        temporary = isinstance(cause, IdleInTransactionSessionTimeout | ReadOnlySqlTransaction)
        return Failure.UNAVAILABLE if temporary else None
    if not isinstance(error, OperationalError):
        return None
    if isinstance(cause, QueryCanceled):
        return Failure.TIMED_OUT
    if writes and is_lost_connection(error):
        return Failure.OUTCOME_UNKNOWN
    return Failure.UNAVAILABLE


def is_lost_connection(error: BaseException) -> bool:
    """Whether a connection broke while it was in use. The result of the last statement is unknown.

    Either no answer arrived, or the server ended the session (error classes 08 and 57P).
    """
    cause = error.__cause__
    if not isinstance(error, OperationalError) or is_failed_checkout(error):
        return False
    if not isinstance(cause, psycopg.Error):
        return True
    return cause.sqlstate is None or cause.sqlstate.startswith(("08", "57P"))


def is_stale_statement(error: BaseException) -> bool:
    """Whether a prepared statement does not fit changed tables, or was deallocated.

    This error occurs only inside a transaction, which is rolled back. The next execution prepares
    the statement again.
    """
    cause = error.__cause__
    if isinstance(cause, FeatureNotSupported):
        # This code has many meanings, and the message may be in any language. Only the name of
        # PostgreSQL's C function identifies the error.
        return cause.diag.source_function == "RevalidateCachedQuery"
    return isinstance(cause, InvalidSqlStatementName)


def is_recovery_conflict(error: BaseException) -> bool:
    """Whether a standby has ended the statement, because it must remove rows that the statement
    still sees."""
    return isinstance(error.__cause__, SerializationFailure)


def is_read_only(error: BaseException) -> bool:
    """Whether a statement writes, and the server is a standby."""
    return isinstance(error.__cause__, ReadOnlySqlTransaction)


def is_failed_checkout(error: BaseException) -> bool:
    """Whether no connection became free in time, or no connection could be opened."""
    cause = error.__cause__
    if isinstance(cause, PoolTimeout | PoolClosed | TooManyRequests):
        return True
    if isinstance(cause, NotConnected | ConnectionTimeout):
        return True
    # psycopg sets `pgconn` only on errors of Connection.connect().
    return isinstance(cause, psycopg.Error) and cause.pgconn is not None


def is_foreign_key_violation(error: IntegrityError) -> bool:
    """Whether a write referred to a row that does not exist, for example because it was deleted."""
    return isinstance(error.__cause__, psycopg.errors.ForeignKeyViolation)


def violated_constraint(error: IntegrityError) -> str | None:
    """The name of the violated constraint, as PostgreSQL reports it."""
    cause = error.__cause__
    return cause.diag.constraint_name if isinstance(cause, psycopg.Error) else None
