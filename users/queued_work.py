"""Work that servers do in the background after the answer: large changes of rows, and e-mails."""

import threading

from django.db import models
from django.db.models.functions import Now

work_queued = threading.Event()
"""Wakes the worker of this process (`users.queue_worker`) when work is queued."""


class QueuedWork(models.Model):
    """A row of a queue. `run_batch` locks the row until its batch is committed: other processes
    skip it, and nothing is lost if this process ends."""

    requested_at = models.DateTimeField(db_default=Now())

    class Meta:
        abstract = True

    @classmethod
    def run_batch(cls) -> str:
        """Do a part of the work, in one short transaction. Returns what was done, or "" if no work
        is left."""
        raise NotImplementedError
