"""Delete expired idempotency keys in the background. Requests with a key delete some too."""

import time
from contextlib import suppress

from django.db import OperationalError, connection

from database.background import BackgroundThread, survive
from database.models import IdempotencyKey

INTERVAL = 600.0  # seconds; rows live for 24 hours, so 10 minutes more do not matter
BATCH = 1_000  # rows for each statement, about 20 ms


def delete_expired() -> None:
    """Delete every expired row that no other transaction has locked.

    Closes the connection of this thread. Deletes nothing while the database is unavailable.
    """
    try:
        with suppress(OperationalError):  # the pool logs an outage; the next call tries again
            while IdempotencyKey.objects.delete_expired(BATCH) == BATCH:
                pass
    finally:
        connection.close()


def _run() -> None:
    while True:
        time.sleep(INTERVAL)
        survive(delete_expired)


thread = BackgroundThread("idempotency-expiry", _run)
