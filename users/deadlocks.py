"""Retries after deadlocks."""

from collections.abc import Callable

from django.db import OperationalError, transaction
from psycopg.errors import DeadlockDetected

ATTEMPTS = 5


def retry_after_deadlock[Result](work: Callable[[], Result]) -> Result:
    """Call `work` in a transaction, and again if PostgreSQL cancels it because of a deadlock.

    For writes that cannot lock rows in the same order as other writers. Raises OperationalError
    after the last attempt.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with transaction.atomic():
                return work()
        except OperationalError as error:
            if attempt == ATTEMPTS or not isinstance(error.__cause__, DeadlockDetected):
                raise
    raise AssertionError("unreachable")
