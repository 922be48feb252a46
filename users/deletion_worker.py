"""The thread that empties the queue of deletions, one in each process of the server."""

import logging
import os
import threading

from django.db import OperationalError, connection

from database.background import BackgroundThread, survive
from users.deletion import Deletion, queued

logger = logging.getLogger("users.deletion")

INTERVAL = 30.0  # seconds until it looks for what other processes have queued or left unfinished
PAUSE = 1.0  # seconds after an error
LONGEST_BATCH = 10.0  # seconds that `stop` waits; the statement timeout ends a longer one


class DeletionWorker:
    """Its thread starts with `ensure_running`, also in a process that was forked later."""

    def __init__(self) -> None:
        self.forget_everything()

    def forget_everything(self) -> None:
        """In a process that was forked: threads are not forked."""
        self._thread = BackgroundThread("deletion-worker", self._run)
        self._stopping = False
        self._idle = threading.Event()
        self._idle.set()

    def ensure_running(self) -> None:
        if not self._stopping:
            self._thread.ensure_running()

    def stop(self) -> None:
        """End the thread after the batch that it works on, so that its connection is given back
        and another process can go on at once."""
        if self._stopping:
            return
        self._stopping = True
        queued.set()
        self._idle.wait(LONGEST_BATCH)

    def empty_queue(self) -> None:
        """Run every deletion that no other process works on."""
        while not self._stopping and (claim := Deletion.objects.claim()):
            logger.info("Deleting %s, with everything that belongs to them", claim)
            rows = 0
            for deleted in claim.run():
                rows += deleted
                if self._stopping:
                    claim.release()
                    return
                if not connection.in_atomic_block:
                    connection.close()  # requests may need it between two batches
            logger.info("Deleted %s: %d rows", claim, rows)

    def _run(self) -> None:
        while not self._stopping:
            queued.clear()
            if self._stopping:  # `stop` was called before the clear
                return
            # A deletion that failed keeps its lease: others get their turn first.
            queued.wait(survive(self._work) or PAUSE)

    def _work(self) -> float:
        """Empty the queue; returns the seconds until the next look."""
        self._idle.clear()
        try:
            self.empty_queue()
        except OperationalError:
            # The database is away, which the pool logs, or PostgreSQL ended a deadlock. An
            # unfinished deletion goes on when its lease has run out.
            return PAUSE
        finally:
            try:
                connection.close()
            finally:
                self._idle.set()
        return INTERVAL


worker = DeletionWorker()
os.register_at_fork(after_in_child=worker.forget_everything)
