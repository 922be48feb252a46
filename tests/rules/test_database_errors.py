"""How errors of the driver are classified, and how that decides the answer."""

import psycopg
import pytest
from django.db import (
    Error,
    InterfaceError,
    InternalError,
    OperationalError,
    ProgrammingError,
)
from psycopg import errors
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

from database.errors import Failure, NotConnected, failure_of, is_lost_connection

NO_CONNECTION = [
    PoolTimeout(),
    PoolClosed(),
    TooManyRequests(),
    NotConnected(),
    errors.ConnectionTimeout(),
]
LOST = [
    psycopg.OperationalError("the connection is closed"),
    errors.AdminShutdown(),
    errors.CrashShutdown(),
    errors.IdleSessionTimeout(),
    errors.ConnectionFailure(),
    None,
]
REFUSED = [
    errors.DiskFull(),
    errors.TooManyConnections(),
    errors.LockNotAvailable(),
    errors.DeadlockDetected(),
]


def raised(cause: BaseException | None, kind: type[Error] = OperationalError) -> Exception:
    error = kind()
    error.__cause__ = cause
    return error


@pytest.mark.parametrize("cause", [*NO_CONNECTION, *REFUSED], ids=repr)
def test_an_error_before_the_statement_ran_is_unavailable(cause: Exception) -> None:
    error = raised(cause)

    assert failure_of(error, writes=False) is Failure.UNAVAILABLE
    assert failure_of(error, writes=True) is Failure.UNAVAILABLE
    assert not is_lost_connection(error)


@pytest.mark.parametrize("cause", LOST, ids=repr)
def test_the_outcome_of_a_write_is_unknown_after_a_lost_connection(cause: Exception) -> None:
    error = raised(cause)

    assert failure_of(error, writes=False) is Failure.UNAVAILABLE
    assert failure_of(error, writes=True) is Failure.OUTCOME_UNKNOWN
    assert is_lost_connection(error)


def test_a_statement_timeout_is_timed_out() -> None:
    error = raised(errors.QueryCanceled())

    assert failure_of(error, writes=True) is Failure.TIMED_OUT
    assert not is_lost_connection(error)


@pytest.mark.parametrize(
    "cause", [errors.IdleInTransactionSessionTimeout(), errors.ReadOnlySqlTransaction()], ids=repr
)
def test_a_write_that_was_rolled_back_for_certain_is_unavailable(cause: Exception) -> None:
    error = raised(cause, InternalError)

    assert failure_of(error, writes=True) is Failure.UNAVAILABLE
    assert not is_lost_connection(error)


@pytest.mark.parametrize(
    "error",
    [
        raised(errors.InFailedSqlTransaction(), InternalError),
        raised(psycopg.InterfaceError("the cursor is closed"), InterfaceError),
        raised(errors.UndefinedTable(), ProgrammingError),
        ValueError(),
        None,
    ],
    ids=repr,
)
def test_programming_errors_are_not_failures_of_the_database(error: Exception | None) -> None:
    assert failure_of(error, writes=True) is None
