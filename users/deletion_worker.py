"""The thread that empties the queue of deletions, one in each process of the server."""

import logging
import os

from django.db import OperationalError, connection

from database.background import BackgroundThread, survive
from users.deletion import Deletion, queued

logger = logging.getLogger("users.deletion")

INTERVAL = 30.0  # seconds until it looks for what other processes have queued or left unfinished
PAUSE = 1.0  # seconds after an error


def empty_queue() -> None:
    """Run every deletion that no other process works on."""
    while claim := Deletion.objects.claim():
        logger.info("Deleting %s, with everything that belongs to them", claim)
        rows = 0
        for deleted in claim.run():
            rows += deleted
            if not connection.in_atomic_block:
                connection.close()  # requests may need it between two batches
        logger.info("Deleted %s: %d rows", claim, rows)


class DeletionWorker:
    """Empties the queue, again and again."""

    def __init__(self) -> None:
        self._stopped = False

    def run(self) -> None:
        while not self._stopped:
            queued.clear()
            # A deletion that failed has its lease: others get their turn first.
            queued.wait(survive(_work) or PAUSE)

    def stop(self) -> None:
        """Make `run` return after its deletion."""
        self._stopped = True
        queued.set()


def _work() -> float:
    """Empty the queue; returns the seconds until the next look."""
    try:
        empty_queue()
    except OperationalError:
        # The database is away, which the pool logs, or PostgreSQL ended a deadlock. An unfinished
        # deletion goes on when its lease has run out.
        return PAUSE
    finally:
        connection.close()
    return INTERVAL


def forget_everything() -> None:
    """In a process that was forked: threads are not forked."""
    global thread
    thread = BackgroundThread("deletion-worker", DeletionWorker().run)


# Each request ensures that it runs, because a server may fork after it has imported this.
thread = BackgroundThread("deletion-worker", DeletionWorker().run)
os.register_at_fork(after_in_child=forget_everything)
