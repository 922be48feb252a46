"""The queue for password hashing: a few threads hash at once, and a few more may wait.

A hash takes 20 ms of a core. Without the queue, a burst of logins would occupy every thread of
the process, and all other requests would wait. The limits hold for each process:
`settings.PASSWORD_MAX_HASHING` and `settings.PASSWORD_MAX_WAITING`.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from prometheus_client import Counter, Gauge

from database.backend import release_connection

HASHES = Counter(
    "password_hashes",
    "Password hashes: done, or refused because the queue was full",
    ["result"],
)
# Create both series at 0: Prometheus' rate() needs two samples.
_done, _refused = HASHES.labels("done"), HASHES.labels("refused")
WAITING = Gauge(
    "password_hashes_waiting",
    "Passwords that wait to be hashed",
    multiprocess_mode="livesum",
)


class PasswordQueueFull(Exception):
    """The queue for password hashing has no free slot."""

    retry_after = 1  # seconds; a full queue with default settings is empty after 0.25 s


class _OfThread(threading.local):
    """What the current thread holds."""

    has_slot = False
    has_turn = False


class PasswordQueue:
    """`slot()` takes a slot of the queue or fails at once; `turn()` also waits until hashing may
    start. A thread that holds a slot or a turn does not take another one."""

    def __init__(self, hashing: int, waiting: int) -> None:
        """`hashing` threads may hash at once, and `waiting` more may wait."""
        self.slots = hashing + waiting
        self.taken = 0
        self._counting = threading.Lock()
        self._turns = threading.Semaphore(hashing)
        self._of_thread = _OfThread()

    def refuse_if_full(self) -> None:
        """Raises PasswordQueueFull if no slot is free now. A cheap check, so that a request is
        refused before any work is done; it reserves nothing."""
        if self.taken >= self.slots:
            _refused.inc()
            raise PasswordQueueFull

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Hold a slot during several hashes, or during the work around one.

        Raises PasswordQueueFull.
        """
        if self._of_thread.has_slot:
            yield
            return
        with self._counting:
            self.refuse_if_full()
            self.taken += 1
        self._of_thread.has_slot = True
        try:
            yield
        finally:
            self._of_thread.has_slot = False
            with self._counting:
                self.taken -= 1

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait until this thread may hash. Raises PasswordQueueFull if it holds no slot and none
        is free.

        Releases the database connection first: otherwise eight waiting logins would hold a whole
        pool.
        """
        if self._of_thread.has_turn:
            yield
            return
        with self.slot():
            release_connection()
            with WAITING.track_inprogress():
                self._turns.acquire()
            self._of_thread.has_turn = True
            try:
                yield
            finally:
                self._of_thread.has_turn = False
                self._turns.release()
        _done.inc()


password_queue = PasswordQueue(settings.PASSWORD_MAX_HASHING, settings.PASSWORD_MAX_WAITING)
