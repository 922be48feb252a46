"""The thread that works off the queue of deletions. Each server process has one."""

import logging
import os
import threading

from django.db import OperationalError, connection

from database.background import BackgroundThread, survive
from users.deletion import Deletion, deletion_queued

logger = logging.getLogger("users.deletion")

INTERVAL = 30.0  # seconds between looks for deletions that other processes queued or left
PAUSE = 1.0  # seconds after an error
LONGEST_BATCH = 10.0  # seconds that `stop` waits; the statement timeout cancels a longer batch


class DeletionWorker:
    """`ensure_running` starts its thread, also in a forked process."""

    def __init__(self) -> None:
        self._thread = BackgroundThread("deletion-worker", self._run)
        self._reset()
        os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        """Also in a forked process: its thread has not started."""
        self._stopping = False
        self._idle = threading.Event()
        self._idle.set()

    def ensure_running(self) -> None:
        if not self._stopping:
            self._thread.ensure_running()

    def stop(self) -> None:
        """Stop the thread after its current batch. Its connection is released, and another process
        can continue at once."""
        if self._stopping:
            return
        self._stopping = True
        deletion_queued.set()
        self._idle.wait(LONGEST_BATCH)

    def empty_queue(self) -> None:
        """Run all deletions that no other process has claimed."""
        while not self._stopping and (claim := Deletion.objects.claim()):
            logger.info("Deleting %s, with everything that belongs to them", claim)
            rows = 0
            for deleted in claim.run():
                rows += deleted
                if self._stopping:
                    claim.release()
                    return
                if not connection.in_atomic_block:
                    connection.close()  # between two batches, requests may need it
            logger.info("Deleted %s: %d rows", claim, rows)

    def _run(self) -> None:
        while not self._stopping:
            deletion_queued.clear()
            if self._stopping:  # `stop` was called before the clear
                return
            # A failed deletion keeps its lease, so that other deletions run first.
            deletion_queued.wait(survive(self._work) or PAUSE)

    def _work(self) -> float:
        """Empty the queue. Returns the seconds to wait until the next look."""
        self._idle.clear()
        try:
            self.empty_queue()
        except OperationalError:
            # The database is unavailable (the pool logs it), or PostgreSQL has ended a deadlock.
            # The deletion continues when its lease has ended.
            return PAUSE
        finally:
            try:
                connection.close()
            finally:
                self._idle.set()
        return INTERVAL


worker = DeletionWorker()
