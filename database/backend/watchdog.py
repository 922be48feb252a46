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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic

from database import metrics
from database.backend.checkouts import Checkout, Connection, checked_out, where_it_is
from database.backend.running import RunningRequest, running_requests
from database.background import BackgroundThread, survive

logger = logging.getLogger("database.pool")

TICK = 0.1  # seconds: how late a bound may be kept; ten looks a second cost 0.1 % of a core


@dataclass(slots=True, eq=False)
class Bound:
    connection: Connection
    until: float
    passed: bool = False
    """Set at the end of the context: whether the connection was cut, or is being cut."""


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
        self._something.set()
        self._thread.ensure_running()

    @contextmanager
    def bounded(self, connection: Connection, seconds: float) -> Iterator[Bound]:
        """Cut the connection if what is done in this context takes longer."""
        bound = Bound(connection, monotonic() + seconds)
        self.bounds[id(bound)] = bound
        self.wake()
        try:
            yield bound
        finally:
            # pop() is atomic: None means that the watchdog cuts the connection, or has done so.
            bound.passed = self.bounds.pop(id(bound), None) is None

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
