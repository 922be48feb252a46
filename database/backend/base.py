"""Django's PostgreSQL backend, with connections that survive faults.

In every mode it detects broken connections, bounds every wait, and takes back the connections of
dead threads. `pool.py` says what the pool adds.
"""

import math
import sys
import threading
import time
import weakref
from pathlib import Path
from time import monotonic
from typing import Any, ClassVar

import psycopg
from django.core.exceptions import ImproperlyConfigured
from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.postgresql import base
from django.db.backends.utils import CursorWrapper
from psycopg import pq

from database.backend.checkouts import Checkout, checked_out
from database.backend.client import DatabaseClient
from database.backend.connection import Connection
from database.backend.outages import RECONNECT_INTERVAL, Outage
from database.backend.pool import Pool
from database.backend.pools import new_pool, new_replicas
from database.backend.prepared_cursor import FastPreparedCursor, PreparedCursor
from database.backend.replicas import Replicas
from database.backend.running import running_request
from database.backend.watchdog import watchdog
from database.errors import NotConnected
from database.settings import PREPARED_MAX, Limits

READY = (pq.TransactionStatus.IDLE, pq.TransactionStatus.INTRANS)

_DEFAULT_LIMITS = Limits()


class DatabaseWrapper(base.DatabaseWrapper):
    client_class = DatabaseClient
    _connection_pools: ClassVar[dict[str, Pool]] = {}
    _replicas: ClassVar[dict[str, Replicas]] = {}
    _outages: ClassVar[dict[str, Outage]] = {}
    _takes_from_pool = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.thread = threading.current_thread()

    @property
    def limits(self) -> Limits:
        limits: Limits = self.settings_dict["OPTIONS"].get("limits", _DEFAULT_LIMITS)
        return limits

    @property
    def _outage(self) -> Outage:
        outage = self._outages.get(self.alias)
        return outage or self._outages.setdefault(self.alias, Outage(self.alias))

    @property
    def pool(self) -> Pool | None:
        if not self.settings_dict["OPTIONS"].get("pool") or self.alias == NO_DB_ALIAS:
            return None
        pool = self._connection_pools.get(self.alias)
        if pool is None:
            after_commit = self._after_commit if self._has_replicas else None
            # A copy, because the pool outlives this object, which belongs to a thread.
            new = new_pool(self.copy(), self._outage, after_commit)
            # Two threads may create one each. setdefault() keeps one; the other was not opened.
            pool = self._connection_pools.setdefault(self.alias, new)
        return pool

    @property
    def replicas(self) -> Replicas | None:
        """The servers that reads may use; None if reads use the same pool as writes."""
        if not self._has_replicas:
            return None
        replicas = self._replicas.get(self.alias)
        if replicas is None:
            new = new_replicas(self.copy(), self._after_commit)
            replicas = self._replicas.setdefault(self.alias, new)
        return replicas

    @property
    def _has_replicas(self) -> bool:
        return "replicas" in self.settings_dict["OPTIONS"] and self.alias != NO_DB_ALIAS

    def _after_commit(self, connection: Connection) -> None:
        if replicas := self.replicas:
            replicas.recorder.record(connection)

    def record_commits(self) -> None:
        """Record the position of the last commit on the connection of this thread."""
        if self.connection is not None and self.connection.wrote:
            self._after_commit(self.connection)

    def forget_writes(self) -> None:
        if self.connection is not None:
            self.connection.wrote = False

    def close_if_unused(self) -> None:
        """Return the connection to its pool unless a transaction needs it."""
        if self.autocommit and not self.in_atomic_block:
            self.close()

    def close_pool(self) -> None:
        """Close the pool, and those of the servers that reads use. Django calls this for example
        before it copies a database for tests. The next use opens other pools."""
        if replicas := self._replicas.pop(self.alias, None):
            replicas.close()
        super().close_pool()

    def connect(self) -> None:
        self._takes_from_pool = self.pool is not None
        try:
            super().connect()
        finally:
            self._takes_from_pool = False

    def get_connection_params(self) -> dict[str, Any]:
        """The parameters for psycopg. Reads the password file at each call, and starts the embedded
        server if the database is on it.

        Raises NotConnected, which callers handle like any other failed connection, and
        ImproperlyConfigured.
        """
        if self._takes_from_pool:
            # Django calls this at every checkout. The pool calls it to open a connection.
            return {}
        params: dict[str, Any] = super().get_connection_params()
        embedded, password_file = params.pop("embedded", None), params.pop("password_file", None)
        params.pop("limits", None)
        params.pop("replicas", None)
        # psycopg's default is 130 s: a pool and a probe would notice late that the network is back.
        params.setdefault("connect_timeout", math.ceil(self.limits.acquire_timeout))
        prepared_max = params.setdefault("prepared_max", PREPARED_MAX)
        if type(prepared_max) is not int or prepared_max < 1:
            raise ImproperlyConfigured(
                f"DATABASES[{self.alias!r}]['OPTIONS']['prepared_max'] must be a whole number, 1 or"
                f" more, and is {prepared_max!r}."
            )
        pgbouncer, fast = params.pop("pgbouncer", False), params.pop("prepared_fast_path", True)
        if not pgbouncer and not fast and params["prepare_threshold"] is None:
            # Without a threshold psycopg prepares nothing, not even with `prepare=True`.
            params["prepare_threshold"] = sys.maxsize
        try:
            if embedded is not None:
                params["host"] = str(embedded.start())
            if password_file is not None:
                params["password"] = Path(password_file).read_text().rstrip("\r\n")
        except (OSError, UnicodeError) as error:
            raise NotConnected(str(error)) from error
        return params

    def get_new_connection(self, conn_params: dict[str, Any]) -> Connection:
        level, pool = self._isolation_level(), self.pool
        if pool is None:
            connection = self._connect(conn_params)
            checkout = Checkout(connection, pool=None).begin()
            watchdog.wake()
        else:
            if pool.closed:  # not at every checkout: open() takes a lock
                pool.open()
            request = running_request()
            replicas = self.replicas if request else None
            if request and replicas and request.reads_replicas:
                connection = replicas.getconn(request)
            else:
                connection = pool.getconn()
                if request and replicas and request.writes:
                    connection.wrote = True
            checkout = checked_out[id(connection)]
        checkout.wrapper = weakref.ref(self)
        self.isolation_level = level or psycopg.IsolationLevel.READ_COMMITTED
        if level is not None:
            connection.isolation_level = level
        return connection

    def _isolation_level(self) -> psycopg.IsolationLevel | None:
        options = self.settings_dict["OPTIONS"]
        try:
            return psycopg.IsolationLevel(options["isolation_level"])
        except KeyError:
            return None
        except ValueError as error:
            raise ImproperlyConfigured(
                f"Invalid transaction isolation level {options['isolation_level']} specified."
                " Use one of the psycopg.IsolationLevel values."
            ) from error

    def _connect(self, params: dict[str, Any]) -> Connection:
        """Open a connection without a pool. In a request, tries again until the acquire timeout, as
        the pool does. A command tries once."""
        request, until = running_request(), monotonic() + self.limits.acquire_timeout
        if request and request.acquire_by:
            until = request.acquire_by
        while True:
            if request:
                left = math.ceil(until - monotonic())
                timeout = int(params.get("connect_timeout", left))
                params["connect_timeout"] = max(2, min(timeout, left))  # psycopg's least is 2 s
            try:
                connection = Connection.connect(outage=self._outage, limits=self.limits, **params)
            except psycopg.OperationalError:
                if not request or monotonic() + RECONNECT_INTERVAL > until:
                    raise
            else:
                self._outage.ended()
                return connection
            time.sleep(RECONNECT_INTERVAL)

    def set_autocommit(
        self,
        autocommit: bool,
        force_begin_transaction_with_broken_autocommit: bool = False,
    ) -> None:
        # atomic() calls this at its end, also after a COMMIT that broke the connection. Another
        # connection would hide that error, and wait for the acquire timeout during an outage.
        if autocommit and self.connection is None and self.settings_dict["AUTOCOMMIT"]:
            return  # a new connection starts in autocommit
        if autocommit and self._takes_from_pool and self.connection.autocommit:
            # The pool opened the connection in autocommit. To set that again would take a lock.
            self.autocommit = True
            return
        super().set_autocommit(autocommit, force_begin_transaction_with_broken_autocommit)

    def _close(self) -> None:
        if self.connection is not None:
            self.record_commits()
            held_by = checked_out.get(id(self.connection))
            if held_by is not None and held_by.pool is None:
                del checked_out[id(self.connection)]
        super()._close()  # type: ignore[misc]  # Django's

    def chunked_cursor(self) -> Any:
        cursor = super().chunked_cursor()
        # A server-side cursor may outlive its transaction.
        self.connection.note_statement("DECLARE")
        return cursor

    def prepared_cursor(self) -> CursorWrapper:
        """A cursor that prepares its statement; the text has $1, $2, … for parameters. Django wraps
        it as it wraps its own cursors."""
        self.close_if_health_check_failed()
        self.ensure_connection()
        options = self.settings_dict["OPTIONS"]
        # If psycopg prepares statements too, it runs DEALLOCATE ALL after a rollback, which also
        # drops the statements of the fast path.
        fast = (
            options.get("prepared_fast_path", True)
            and not options.get("pgbouncer")
            and self.connection.prepare_threshold is None
        )
        cursor = (FastPreparedCursor if fast else PreparedCursor)(self.connection)
        wrapped: CursorWrapper = self._prepare_cursor(cursor)  # type: ignore[attr-defined]  # Django's
        return wrapped

    def is_usable(self) -> bool:
        """Whether the connection can run statements. A ping alone is not enough: PostgreSQL answers
        an empty query even in an aborted transaction."""
        connection = self.connection
        if connection is None or connection.pgconn.transaction_status not in READY:
            return False
        usable: bool = connection.ping(self.limits.ping_timeout)
        return usable

    def forget_connection(self) -> None:
        """After a fork, in the child: do not use the parent's connection."""
        self.connection = None
        if self.in_atomic_block:
            self.closed_in_transaction = self.needs_rollback = True
