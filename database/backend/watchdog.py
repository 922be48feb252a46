"""The thread that bounds what nothing else can.

A server that is frozen, and a network that drops packets, answer nothing: no time-out of
PostgreSQL's runs, libpq waits, and Python can't interrupt it. Another thread can, by shutting
the socket: the waiting one gets an error at once. The watchdog does so for every round trip
that the layer makes by itself, and for the connection of a request at its hard deadline. It
also takes back the connections of threads that have died, and reports those that are out for
too long. It never waits for the network itself.
"""

import logging
import threading
import time
from time import monotonic
from typing import Self

from database import metrics
from database.backend.checkouts import Checkout, Connection, checked_out, where_it_is
from database.backend.running import RunningRequest, running_requests
from database.background import BackgroundThread, survive

logger = logging.getLogger("database.pool")

TICK = 0.1  # seconds: how late a bound may be kept; ten looks a second cost 0.1 % of a core


class Bound:
    """What `bounded` returns; contextlib's way to make it costs three times as much, in every
    request."""

    __slots__ = ("_watchdog", "connection", "passed", "until")

    def __init__(self, watchdog: "Watchdog", connection: Connection, until: float) -> None:
        self._watchdog = watchdog
        self.connection = connection
        self.until = until
        self.passed = False
        """Afterwards: whether the connection was cut, or is being cut."""

    def __enter__(self) -> Self:
        self._watchdog.bounds[id(self)] = self
        self._watchdog.wake()
        return self

    def __exit__(self, *_: object) -> None:
        # Whoever of the two comes second finds that the first has taken it out.
        self.passed = self._watchdog.bounds.pop(id(self), None) is None


class Watchdog:
    """Starts its thread at the first use, and lets it sleep while nothing is out."""

    def __init__(self) -> None:
        self.forget_everything()

    def forget_everything(self) -> None:
        """Begin anew, also in a process that was forked: threads are not."""
        self.bounds: dict[int, Bound] = {}
        self._something = threading.Event()
        self._thread = BackgroundThread("database-watchdog", self._run)

    def wake(self) -> None:
        if not self._something.is_set():
            self._something.set()
        self._thread.ensure_running()

    def bounded(self, connection: Connection, seconds: float) -> Bound:
        """Cut the connection if what is done inside takes longer than so many seconds."""
        return Bound(self, connection, monotonic() + seconds)

    def _run(self) -> None:
        while True:
            if not self.bounds and not checked_out:
                self._something.clear()
                # Looked at again: whoever came in between has seen it set.
                if not self.bounds and not checked_out:
                    self._something.wait()
            time.sleep(TICK)
            survive(self._look, monotonic())

    def _look(self, now: float) -> None:
        # The copies are made in one step of the interpreter; other threads go on meanwhile.
        for bound in list(self.bounds.values()):
            if now >= bound.until and self.bounds.pop(id(bound), None) is not None:
                survive(bound.connection.cut)
                metrics.HUNG.labels(bound.connection.alias).inc()
        checkouts = list(checked_out.values())
        # In this order: whoever has a connection in the copy is alive now, or has ended.
        alive = set(threading.enumerate())
        for checkout in checkouts:
            survive(self._look_at, checkout, now, alive)

    def _look_at(self, checkout: Checkout, now: float, alive: set[threading.Thread]) -> None:
        if checkout.is_abandoned(alive):
            self._take_back(checkout)
            return
        request = running_requests.get(checkout.thread.ident or 0)
        if request and now >= request.deadline and not checkout.cut:
            self._cut(checkout, request)
        if not checkout.reported and now - checkout.since >= checkout.leak_after:
            checkout.reported = True
            logger.warning(
                "A connection has been out for %.1f s. It was taken here:\n%s"
                "and the thread is here now:\n%s",
                now - checkout.since,
                checkout.stack(),
                where_it_is(checkout.thread),
            )
            metrics.LEAKS.labels(checkout.connection.alias, "held").inc()

    def _cut(self, checkout: Checkout, request: RunningRequest) -> None:
        place = where_it_is(checkout.thread)
        # First the mark: if the connection is given back this moment, whoever takes it back
        # closes it (`Pool.putconn`), and nobody else's is cut.
        checkout.cut = request.cut = True
        if checked_out.get(id(checkout.connection)) is not checkout:
            return
        checkout.connection.cut()
        metrics.HUNG.labels(checkout.connection.alias).inc()
        logger.error(
            "%s is over its hard deadline, and its connection was cut. It is here:\n%s",
            request.route(),
            place,
        )

    def _take_back(self, checkout: Checkout) -> None:
        if checked_out.pop(id(checkout.connection), None) is None:
            return  # it was given back this moment
        if checkout.pool is None:
            checkout.connection.cut()
            checkout.connection.close()
            return
        metrics.LEAKS.labels(checkout.connection.alias, "dead_thread").inc()
        try:
            logger.error(
                "The thread %s died with a connection, which was closed. It was taken here:\n%s",
                checkout.thread.name,
                checkout.stack(),
            )
            # Cut first: giving back a healthy connection would roll back, which waits.
            checkout.connection.cut()
        finally:
            checkout.pool.reclaim(checkout.connection)


watchdog = Watchdog()
