"""Delete expired idempotency keys while no request brings one: then no request deletes any."""

import os
import time
from contextlib import suppress

from django.db import OperationalError, connection

from database.background import BackgroundThread, survive
from database.models import IdempotencyKey

INTERVAL = 600.0  # seconds; rows are kept for 24 hours, so that ten minutes more don't matter
BATCH = 1_000  # rows in one statement: some 20 ms


def delete_expired() -> None:
    """Delete every expired row that no other transaction has locked.

    Gives the connection of this thread back. While the database is away, nothing is deleted.
    """
    try:
        with suppress(OperationalError):  # the pool logs an outage once; the next round tries again
            while IdempotencyKey.objects.delete_expired(BATCH) == BATCH:
                pass
    finally:
        connection.close()


def _run() -> None:
    while True:
        time.sleep(INTERVAL)
        survive(delete_expired)


def forget_everything() -> None:
    """In a process that was forked: threads are not forked."""
    global thread
    thread = BackgroundThread("idempotency-expiry", _run)


thread = BackgroundThread("idempotency-expiry", _run)
os.register_at_fork(after_in_child=forget_everything)
