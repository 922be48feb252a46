"""Transactions that are repeated after an error that another transaction has caused."""

from collections.abc import Callable
from random import uniform
from time import sleep

from django.db import DatabaseError, OperationalError, transaction
from psycopg.errors import DeadlockDetected

ATTEMPTS = 5


def retry[Result](work: Callable[[], Result], *, after: Callable[[DatabaseError], bool]) -> Result:
    """Call `work` in a transaction, and again if `after` is true for its error. Raises the error of
    the last attempt.

    Waits for 10 to 50 ms before each new attempt. Without the pause, the new attempt could take the
    locks again before the transaction that waits for them, and the two would deadlock again.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with transaction.atomic():
                return work()
        except DatabaseError as error:
            if attempt == ATTEMPTS or not after(error):
                raise
        sleep(uniform(0.01, 0.05))  # noqa: S311 -- no secret
    raise AssertionError("unreachable")


def retry_after_deadlock[Result](work: Callable[[], Result]) -> Result:
    """Call `work` in a transaction, and again if PostgreSQL cancels it because of a deadlock.

    For writes that cannot lock rows in the same order as other writers. Raises OperationalError
    after the last attempt.
    """
    return retry(work, after=is_deadlock)


def is_deadlock(error: DatabaseError) -> bool:
    return isinstance(error, OperationalError) and isinstance(error.__cause__, DeadlockDetected)
