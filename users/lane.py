"""The lane in which passwords are hashed: a few at once, and a bounded queue behind them.

A hash takes 20 ms of a core. Left alone, as many log-ins as the process has threads would keep
every thread for as long as all of them take, and readers would wait behind them. The bounds are
`settings.PASSWORD_MAX_HASHING` and `PASSWORD_MAX_WAITING`, for each process.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from prometheus_client import Counter, Gauge

from database.backend.base import release

HASHES = Counter(
    "password_hashes",
    "Passwords hashed, and requests that a full lane turned away: done or refused",
    ["result"],
)
# Looked up once; and a rate can be had of a figure from the second time on that it is read.
_done, _refused = HASHES.labels("done"), HASHES.labels("refused")
WAITING = Gauge(
    "password_hashes_waiting",
    "Passwords that wait to be hashed",
    multiprocess_mode="livesum",
)


class LaneFull(Exception):
    """Nobody else may wait for a password to be hashed."""

    retry_after = 1  # seconds: forty hashes, longer than the queue of most


class _Mine(threading.local):
    """What a thread has of the lane."""

    has_place = False
    has_turn = False


class Lane:
    """A place is room in the lane, and is refused at once; a turn is leave to hash, and is
    waited for. A thread has one of each at the most, however often it asks."""

    def __init__(self, hashing: int, waiting: int) -> None:
        """With turns for `hashing` threads, and places for `waiting` more."""
        self.places = hashing + waiting
        self.taken = 0
        self._counting = threading.Lock()
        self._turns = threading.Semaphore(hashing)
        self._mine = _Mine()

    def ask(self) -> None:
        """Raises LaneFull if there is no place now: for whoever is not going to need one
        before they have cost something. A moment later it may be gone."""
        if self.taken >= self.places:
            _refused.inc()
            raise LaneFull

    @contextmanager
    def place(self) -> Iterator[None]:
        """Stand in the lane for several hashes, or for what comes before and after one.

        Raises LaneFull.
        """
        if self._mine.has_place:
            yield
            return
        with self._counting:
            self.ask()
            self.taken += 1
        self._mine.has_place = True
        try:
            yield
        finally:
            self._mine.has_place = False
            with self._counting:
                self.taken -= 1

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for one's turn to hash, without the request's connection to the database: eight
        log-ins would hold all of a pool. Raises LaneFull without a place, if there is none."""
        if self._mine.has_turn:
            yield
            return
        with self.place():
            release()
            with WAITING.track_inprogress():
                self._turns.acquire()
            self._mine.has_turn = True
            try:
                yield
            finally:
                self._mine.has_turn = False
                self._turns.release()
        _done.inc()


lane = Lane(settings.PASSWORD_MAX_HASHING, settings.PASSWORD_MAX_WAITING)
