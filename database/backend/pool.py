"""psycopg's pool, hardened through its public methods.

What it adds: a checkout that is bounded as a whole, the ping included; one broken connection
throws away all idle ones, instead of one after the other with a pause in between; attempts to
reconnect at a constant rate, not ever more rarely; the real cause in the error of an empty
pool; a session that is clean when it comes back; and a record of who has what.
"""

import logging
import threading
from collections.abc import Callable
from math import inf
from time import monotonic
from typing import Any

import psycopg
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

from database import metrics
from database.backend import housekeeping
from database.backend.checkouts import Checkout, held
from database.backend.connection import Connection
from database.backend.current import current
from database.backend.hygiene import Leaves
from database.backend.limits import Limits
from database.backend.outages import Outage
from database.backend.watchdog import watchdog

logger = logging.getLogger("database.pool")

_acquired = metrics.ACQUIRES.labels("ok")  # looked up once: it is counted at every checkout

# Seconds between two attempts to connect while the database is away. psycopg's own double from
# 1 s up to minutes; after an outage of 100 s, it was noticed 16 s late that it was over.
RECONNECT_INTERVAL = 0.5

# Seconds after its last answer in which a connection may be lent without a ping; HikariCP's.
TRUSTED_FOR = 0.5


class Pool(ConnectionPool[Connection]):
    def __init__(
        self,
        outage: Outage,
        params: Callable[[], dict[str, Any]],
        configure: Callable[[Connection], Any],
        *,
        limits: Limits,
        resets: bool,
        max_waiting: float = inf,
        **options: Any,
    ) -> None:
        """`params` is asked for every new connection, and so may read a password anew;
        `resets` is off behind a pooler that hands sessions around; `max_waiting` clients may
        wait for somebody to give a connection back; other `options` are psycopg's.
        """
        self.limits = limits
        self.queue_limit = max_waiting
        # Those who have a connection, and those who are in getconn.
        self._clients = 0
        self._counting = threading.Lock()
        self.outage = outage
        self._params_of_now = params
        self._resets = resets
        self._configure_session = configure
        self._invalidated_at = 0.0
        self._broken_at = 0.0
        self._invalidating = threading.Lock()
        super().__init__(
            kwargs=self._params,
            connection_class=Connection,
            configure=self._prepare,
            # The ping is made outside, because psycopg sleeps 1, 2, 4 … s after each that fails.
            check=None,
            open=False,
            name=f"database-{outage.alias}",
            # Not psycopg's limit, which counts those too for whom a connection is on its way: of
            # a burst on a pool that has not grown yet it would refuse those it has room for.
            max_waiting=0,
            reconnect_timeout=RECONNECT_INTERVAL,
            # Begins the next attempt, whether or not somebody waits for it.
            reconnect_failed=ConnectionPool.check,
            **options,
        )

    @property
    def in_use(self) -> int:
        """How many connections are out."""
        return sum(checkout.pool is self for checkout in list(held.values()))

    def open(self, wait: bool = False, timeout: float = 30.0) -> None:
        opens = self.closed  # Django asks for it at every checkout
        super().open(wait, timeout)
        if opens:
            housekeeping.look_after(self)

    @property
    def is_full(self) -> bool:
        """Whether all connections and all places in the queue are taken."""
        return self._clients >= self.max_size + self.queue_limit

    def getconn(self, timeout: float | None = None) -> Connection:
        """A connection that answers, within `timeout` seconds in all; for a request that can
        be run again, one that did a moment ago is good enough.

        Raises PoolTimeout, with the reason if there is one beside "all are in use";
        TooManyRequests at once if the queue is full; PoolClosed after `close`.
        """
        started = monotonic()
        with self._counting:
            if self.is_full:
                metrics.ACQUIRES.labels("queue_full").inc()
                raise TooManyRequests(f"{self.queue_limit} are waiting already")
            self._clients += 1
        connection = None
        try:
            connection = self._getconn_that_answers(self._until(started, timeout))
        except PoolTimeout:
            metrics.ACQUIRES.labels("timeout").inc()
            waited = monotonic() - started
            raise PoolTimeout(f"no connection within {waited:.2f} s: {self._why()}") from None
        except PoolClosed:
            metrics.ACQUIRES.labels("closed").inc()
            raise
        finally:
            if connection is None:
                self.leave()
        Checkout(connection, self).begin()
        _acquired.inc()
        metrics.WAIT.observe(monotonic() - started)
        watchdog.wake()
        housekeeping.ensure_running()
        return connection

    def leave(self) -> None:
        """Count one client less: it has given its connection back, died, or got none."""
        with self._counting:
            self._clients -= 1

    def _until(self, started: float, timeout: float | None) -> float:
        until = started + (self.timeout if timeout is None else timeout)
        request = current()
        if request and request.acquire_by is not None:
            return min(until, request.acquire_by)
        return until

    def _getconn_that_answers(self, until: float) -> Connection:
        while True:
            connection = super().getconn(until - monotonic())
            if self._trusts(connection):
                return connection
            try:
                if connection.ping(min(self.limits.ping_timeout, until - monotonic())):
                    return connection
            except BaseException:  # Ctrl-C: it is not lost, but not tried again either
                self.replace(connection)
                raise
            self._invalidate(connection)
            self.replace(connection)

    def _trusts(self, connection: Connection) -> bool:
        """Whether to lend a connection without a ping: to a read at its first try. Should it be
        broken all the same, the read is run again, and at the second try every one is asked.
        """
        request, now = current(), monotonic()
        if request is None or now > request.try_again_until:
            return False
        # What has broken one may have broken all of them, whatever they answered before.
        return connection.answered_at > max(now - TRUSTED_FOR, self._broken_at)

    def putconn(self, conn: Connection) -> None:
        """Take back a connection, as clean as it was; a broken one is replaced."""
        checkout = held.pop(id(conn), None)
        if checkout is not None:
            self.leave()
            metrics.USE.observe(monotonic() - checkout.since)
            if checkout.cut:
                conn.close()
        if not self._resets:
            conn.leaves = Leaves.NOTHING
        try:
            conn.clean(self._prepare)
        finally:
            if conn.closed:  # broken; or by `clean`, and then a few pings are to no purpose
                self._broken_at = monotonic()
            super().putconn(conn)

    def replace(self, connection: Connection) -> None:
        """Close a connection that is out, and open another in its place."""
        connection.close()
        super().putconn(connection)

    def _invalidate(self, broken: Connection) -> None:
        """Throw away what was opened before `broken` was found to be so: one restart breaks
        all of them, and none is worth another request's time. Once for each such event."""
        with self._invalidating:
            if broken.opened_at <= self._invalidated_at:
                return
            self._invalidated_at = monotonic()
        metrics.RECONNECTS.inc()
        logger.warning("A connection does not answer; all idle ones of %r are replaced", self.name)
        self.drain()

    def _why(self) -> str:
        if self.outage.cause:
            return self.outage.cause
        if self.in_use >= self.max_size:
            return f"all {self.max_size} are in use"
        return "none was opened in time"

    def _params(self) -> dict[str, Any]:
        try:
            params = self._params_of_now()
        except psycopg.Error as error:
            self.outage.failed(error)
            raise
        return params | {"outage": self.outage, "limits": self.limits}

    def _prepare(self, connection: Connection) -> None:
        """Set up a session that is new, or was reset."""
        try:
            self._configure_session(connection)
        except psycopg.Error as error:
            self.outage.failed(error)
            raise
        self.outage.ended()
        # What configuring has left is meant to stay.
        connection.leaves = Leaves.NOTHING

    def check_connection(self, conn: Connection) -> None:  # type: ignore[override]  # theirs needs no self
        """What `check` asks of each idle connection, within a bound."""
        stale = conn.opened_at <= self._invalidated_at
        if stale or not conn.ping(self.limits.ping_timeout):
            self._invalidate(conn)
            conn.close()
            raise psycopg.OperationalError("the connection does not answer")
