"""The thread that does the work in the queues: deletions first, then other work on very many rows.
Each server process has one."""

import logging
import os
import threading

from django.apps import apps
from django.db import OperationalError, connection

from database.background import BackgroundThread, survive
from users.deletion import Deletion
from users.queued_work import QueuedWork, work_queued

logger = logging.getLogger("users.deletion")

INTERVAL = 30.0  # seconds between looks for work that other processes queued or left
PAUSE = 1.0  # seconds after an error
LONGEST_BATCH = 10.0  # seconds that `stop` waits; the statement timeout cancels a longer batch


class QueueWorker:
    """`ensure_running` starts its thread, also in a forked process."""

    def __init__(self) -> None:
        self._thread = BackgroundThread("queue-worker", self._run)
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
        work_queued.set()
        self._idle.wait(LONGEST_BATCH)

    def empty_queues(self) -> None:
        """Do all work that no other process is doing."""
        self._delete()
        for model in apps.get_models():
            if issubclass(model, QueuedWork):
                self._run_batches(model)

    def _delete(self) -> None:
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

    def _run_batches(self, queue: type[QueuedWork]) -> None:
        while not self._stopping and (done := queue.run_batch()):
            logger.info("%s", done)
            if not connection.in_atomic_block:
                connection.close()  # between two batches, requests may need it

    def _run(self) -> None:
        while not self._stopping:
            work_queued.clear()
            if self._stopping:  # `stop` was called before the clear
                return
            # A failed deletion keeps its lease, so that other deletions run first.
            work_queued.wait(survive(self._work) or PAUSE)

    def _work(self) -> float:
        """Empty the queues. Returns the seconds to wait until the next look."""
        self._idle.clear()
        try:
            self.empty_queues()
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


worker = QueueWorker()
