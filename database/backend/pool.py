"""A subclass of psycopg's pool that bounds every checkout and recovers quickly.

What it adds:

* the acquire timeout bounds the whole checkout, including the ping
* one broken connection makes it replace all idle connections at once
* it reconnects at a constant rate
* the error of a timeout names the real cause
* a returned connection is cleaned
* every checkout is recorded (`checkouts.py`)
"""

import logging
from collections import deque
from collections.abc import Callable
from math import inf
from time import monotonic
from typing import Any

import psycopg
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

from database import metrics
from database.backend import housekeeping
from database.backend.admission import AdmissionQueue
from database.backend.checkouts import Checkout, checked_out
from database.backend.cleanup import Cleanup
from database.backend.connection import Connection
from database.backend.outages import RECONNECT_INTERVAL
from database.backend.running import acquire_by
from database.backend.sessions import Breakages, SessionSetup
from database.backend.watchdog import watchdog

logger = logging.getLogger("database.pool")

DEFAULTS: dict[str, Any] = {
    # psycopg doubles its interval, from 1 s up to minutes: after an outage of 100 s it connected
    # 16 s late.
    "reconnect_timeout": RECONNECT_INTERVAL,
    # psycopg calls this when it gives up. check() then tries again, even if no request waits.
    "reconnect_failed": ConnectionPool.check,
}
Callback = Callable[[Connection], object]


class Pool(ConnectionPool[Connection]):
    def __init__(
        self,
        setup: SessionSetup,
        *,
        resets: bool,
        max_waiting: float = inf,
        max_waiting_when_stalled: float = inf,
        check: Callback | None = None,
        reset: Callback | None = None,
        **options: Any,
    ) -> None:
        """Create the pool without opening it.

        `resets` says whether a returned session is reset; it must be off behind PgBouncer, where
        clients share sessions. At most `max_waiting` requests may wait (0: no bound), and at most
        `max_waiting_when_stalled` while the pool is stalled (`admission.py`). `check`, `reset` and
        the other `options` are psycopg's; the ping timeout bounds `check` and `reset`.
        """
        self.setup = setup
        self.alias = setup.outage.alias
        self._ping_timeout = setup.limits.ping_timeout
        self._resets = resets
        self._breakages = Breakages()
        # Looked up once, because labels() takes a lock.
        self._acquired = metrics.ACQUIRES.labels(self.alias, "ok")
        self._wait_seconds = metrics.WAIT.labels(self.alias)
        self._use_seconds = metrics.USE.labels(self.alias)
        super().__init__(
            kwargs=setup.params,
            connection_class=Connection,
            configure=self._configure_new_session,
            # Not psycopg's own check: it sleeps 1, 2, 4 … s after each failure. getconn() pings.
            check=self._bounded(None if check is ConnectionPool.check_connection else check),
            reset=self._bounded(reset),
            open=False,
            max_waiting=0,  # no bound, because `_admission` has the bounds
            **DEFAULTS
            | {"name": f"database-{self.alias}", "timeout": setup.limits.acquire_timeout}
            | options,
        )
        # The queue admits one request for each connection. psycopg's own bound would also refuse
        # requests that wait for a connection which is being opened.
        self._admission = AdmissionQueue(
            self.max_size, max_waiting or inf, max_waiting_when_stalled
        )

    @property
    def in_use(self) -> int:
        """How many connections are checked out."""
        return sum(checkout.pool is self for checkout in list(checked_out.values()))

    def open(self, wait: bool = False, timeout: float = 30.0) -> None:
        opens = self.closed
        super().open(wait, timeout)
        if opens:
            housekeeping.look_after(self)

    def close(self, timeout: float = 5.0) -> None:
        super().close(timeout)
        self._admission.close()

    def get_stats(self) -> dict[str, int]:
        """psycopg's statistics. "requests_waiting" counts both queues, ours and psycopg's."""
        waiting = max(0, self._admission.clients - self.in_use)
        return super().get_stats() | {"requests_waiting": waiting}

    @property
    def is_full(self) -> bool:
        """Whether the next request would be refused."""
        return self._admission.is_full

    def getconn(self, timeout: float | None = None, *, first: bool = False) -> Connection:
        """A working connection, within `timeout` seconds. `first` is for a question that must not
        wait for requests: it gets the next connection that is returned.

        Raises PoolTimeout with the cause; TooManyRequests if the queue is full, or if it is too
        long and the pool is stalled; PoolClosed after `close`.
        """
        started = monotonic()
        until = min(started + (self.timeout if timeout is None else timeout), acquire_by())
        try:
            if first:
                self._admission.enter_first()
            else:
                self._admission.enter(until)
            connection = self._getconn_inside(until)
        except TooManyRequests:
            metrics.ACQUIRES.labels(self.alias, "queue_full").inc()
            raise
        except PoolTimeout:
            metrics.ACQUIRES.labels(self.alias, "timeout").inc()
            self._forget_timed_out()
            waited = monotonic() - started
            raise PoolTimeout(
                f"no connection within {waited:.2f} s: {self._timeout_cause()}"
            ) from None
        except PoolClosed:
            metrics.ACQUIRES.labels(self.alias, "closed").inc()
            raise
        Checkout(connection, self).begin()
        self._acquired.inc()
        self._wait_seconds.observe(monotonic() - started)
        watchdog.wake()
        housekeeping.ensure_running()
        return connection

    def _getconn_inside(self, until: float) -> Connection:
        try:
            while True:
                connection = super().getconn(until - monotonic())
                if not self._breakages.needs_ping(connection) or self._answers(connection, until):
                    return connection
        except BaseException:
            self._admission.leave()
            raise

    def _forget_timed_out(self) -> None:
        """Remove timed-out clients from psycopg's queue.

        psycopg keeps each client, with the variables of its request (100 kB and more), until a
        connection is returned. This uses private names of psycopg_pool 3.3.3 (`_waiting`,
        `WaitingClient.error`), because no public method removes a client.
        """
        with self._lock:
            self._waiting = deque(client for client in self._waiting if not client.error)

    def _answers(self, connection: Connection, until: float) -> bool:
        try:
            answers = connection.ping(min(self._ping_timeout, until - monotonic()))
        except BaseException:  # Ctrl-C: without this, the pool would lose the connection
            self._replace(connection)
            raise
        if not answers:
            self._invalidate(connection)
            self._replace(connection)
        return answers

    def putconn(self, conn: Connection) -> None:
        """Take back a connection and clean it. A broken one is replaced."""
        checkout = checked_out.pop(id(conn), None)
        if checkout is not None:
            self._use_seconds.observe(monotonic() - checkout.since)
            if checkout.cut:
                conn.close()
        if not self._resets:
            conn.cleanup = Cleanup.NONE
        try:
            conn.clean(self._configure_session)
        finally:
            broken = conn.closed
            if broken:  # clean() closes healthy connections too, which costs a few needless pings
                self._breakages.note()
            try:
                super().putconn(conn)
            finally:  # afterwards, so that the next request finds the connection
                if checkout is not None:
                    self._admission.leave(moved=not broken)

    def reclaim(self, connection: Connection) -> None:
        """Replace a connection whose thread has died, and admit the next request."""
        try:
            self._replace(connection)
        finally:
            self._admission.leave()

    def _replace(self, connection: Connection) -> None:
        """Close a checked-out connection. psycopg opens another in its place."""
        connection.close()
        super().putconn(connection)

    def _invalidate(self, broken: Connection) -> None:
        """Replace all idle connections, once for each restart of the server."""
        if not self._breakages.shows_restart(broken):
            return
        metrics.RECONNECTS.labels(self.alias).inc()
        logger.warning("A connection is broken; all idle ones of %r are replaced", self.name)
        self.drain()

    def _bounded(self, callback: Callback | None) -> Callable[[Connection], None] | None:
        """The callback, with a bound: after the ping timeout, its connection is cut."""
        if callback is None:
            return None

        def bounded(connection: Connection) -> None:
            with watchdog.bounded(connection, self._ping_timeout):
                callback(connection)

        return bounded

    def _timeout_cause(self) -> str:
        if self.setup.outage.cause:
            return self.setup.outage.cause
        if self.in_use >= self.max_size:
            return f"all {self.max_size} are in use"
        return "none was opened in time"

    def _configure_new_session(self, connection: Connection) -> None:
        """A new session that does not answer counts as a failed attempt: otherwise the pool would
        open the next one at once, without end."""
        self.setup.verify(connection)
        self._configure_session(connection)

    def _configure_session(self, connection: Connection) -> None:
        """Configure a session that is new or was reset."""
        self.setup.configure(connection)
        self._admission.moved()

    def check_connection(self, conn: Connection) -> None:  # type: ignore[override]  # theirs needs no self
        """Ping an idle connection. check() calls this. Raises psycopg.OperationalError."""
        if self._breakages.is_stale(conn) or not conn.ping(self._ping_timeout):
            self._invalidate(conn)
            conn.close()
            raise psycopg.OperationalError("the connection does not answer")
