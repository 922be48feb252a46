"""The thread that cuts connections whose server does not answer.

While a server is frozen, or the network drops packets, no timeout of PostgreSQL runs: libpq waits,
and Python cannot interrupt it. Another thread can shut the socket down, and the waiting thread gets
an error at once. The watchdog does this for every round trip of this layer (ping, reset, rollback),
and for the connection of a request at its hard deadline. It also takes back the connections of dead
threads, and logs connections that are checked out for too long. It never waits for the network.
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

TICK = 0.1  # seconds between two rounds, which take 0.1 % of a core: a cut may be this late


class Bound:
    """A context that cuts a connection if its block takes too long.

    A class, because a generator with `contextmanager` takes twice as long: 1 µs more for each ping,
    and for each question to a standby.
    """

    __slots__ = ("_watchdog", "connection", "until", "was_cut")

    def __init__(self, watchdog: "Watchdog", connection: Connection, until: float) -> None:
        self._watchdog = watchdog
        self.connection = connection
        self.until = until
        self.was_cut = False
        """After the block: whether the watchdog has cut the connection."""

    def __enter__(self) -> Self:
        self._watchdog.bounds[id(self)] = self
        self._watchdog.wake()
        return self

    def __exit__(self, *error: object) -> None:
        # pop() is atomic: None means that the watchdog has already cut the connection.
        self.was_cut = self._watchdog.bounds.pop(id(self), None) is None


class Watchdog:
    """Starts its thread at the first use. The thread sleeps while no connection is checked out."""

    def __init__(self) -> None:
        self._thread = BackgroundThread("database-watchdog", self._run)
        self.forget_everything()

    def forget_everything(self) -> None:
        """Start empty, also in a forked child, which does not have the parent's connections."""
        self.bounds: dict[int, Bound] = {}
        self._has_work = threading.Event()

    def wake(self) -> None:
        if not self._has_work.is_set():  # set() takes a lock
            self._has_work.set()
        self._thread.ensure_running()

    def bounded(self, connection: Connection, seconds: float) -> Bound:
        """A context that cuts the connection if its block takes longer than this."""
        return Bound(self, connection, monotonic() + seconds)

    def _run(self) -> None:
        while True:
            if not self.bounds and not checked_out:
                self._has_work.clear()
                # Checked again: a thread that came between saw the event set, and did not set it.
                if not self.bounds and not checked_out:
                    self._has_work.wait()
            time.sleep(TICK)
            survive(self._look, monotonic())

    def _look(self, now: float) -> None:
        # list() copies in one step of the interpreter. Other threads change the dicts meanwhile.
        for bound in list(self.bounds.values()):
            if now >= bound.until and self.bounds.pop(id(bound), None) is not None:
                survive(self._cut_connection, bound.connection)
        checkouts = list(checked_out.values())
        # Read after the copy: a thread of a copied checkout that is not in this set has ended.
        alive = set(threading.enumerate())
        for checkout in checkouts:
            survive(self._look_at, checkout, now, alive)

    def _look_at(self, checkout: Checkout, now: float, alive: set[threading.Thread]) -> None:
        if checkout.is_abandoned(alive):
            self._take_back(checkout)
            return
        request = running_requests.get(checkout.thread.ident or 0)
        if request and not checkout.cut:
            if now >= request.deadline:
                self._cut_at_deadline(checkout, request)
            elif checkout.is_silent(now):
                self._cut_early(checkout, request)
        if not checkout.reported and now - checkout.since >= checkout.leak_after:
            checkout.reported = True
            logger.warning(
                "A connection has been checked out for %.1f s. Checked out here:\n%s"
                "The thread is here now:\n%s",
                now - checkout.since,
                checkout.stack(),
                where_it_is(checkout.thread),
            )
            metrics.LEAKS.labels(checkout.connection.alias, "held").inc()

    def _cut_at_deadline(self, checkout: Checkout, request: RunningRequest) -> None:
        place = where_it_is(checkout.thread)
        request.cut = True
        if self._cut(checkout):
            logger.error(
                "%s exceeded its hard deadline, and its connection was cut."
                " The thread is here:\n%s",
                request.route(),
                place,
            )

    def _cut_early(self, checkout: Checkout, request: RunningRequest) -> None:
        request.was_cut_early = True
        if self._cut(checkout):
            logger.warning(
                "%s took too long on %s, and is run again on another server.",
                request.route(),
                checkout.connection.alias,
            )

    def _cut(self, checkout: Checkout) -> bool:
        """Cut the connection. False if its thread has returned it meanwhile."""
        # Marked first: then `Pool.putconn` closes a connection that is returned meanwhile.
        # Otherwise another request could get a connection that is about to be cut.
        checkout.cut = True
        if checked_out.get(id(checkout.connection)) is not checkout:
            return False
        self._cut_connection(checkout.connection)
        return True

    def _cut_connection(self, connection: Connection) -> None:
        connection.cut()
        metrics.HUNG.labels(connection.alias).inc()

    def _take_back(self, checkout: Checkout) -> None:
        if checked_out.pop(id(checkout.connection), None) is None:
            return  # its thread has returned it meanwhile
        if checkout.pool is None:
            checkout.connection.cut()
            checkout.connection.close()
            return
        try:
            metrics.LEAKS.labels(checkout.connection.alias, "dead_thread").inc()
            logger.error(
                "The thread %s died with a connection, which was closed. Checked out here:\n%s",
                checkout.thread.name,
                checkout.stack(),
            )
            # Cut first, so that nothing below waits for the server.
            checkout.connection.cut()
        finally:
            checkout.pool.reclaim(checkout.connection)


watchdog = Watchdog()
