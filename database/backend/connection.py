"""A psycopg connection that another thread can cut, and that knows how to clean its session."""

import itertools
import logging
import os
import socket
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from functools import cached_property
from time import monotonic
from typing import Any, Self

import psycopg
from django.db import DEFAULT_DB_ALIAS
from prometheus_client import Histogram
from psycopg import pq, sql

from database import metrics
from database.backend.cleanup import Cleanup, cleanup_after
from database.backend.cursors import observed
from database.backend.outages import Outage
from database.backend.running import running_request
from database.backend.watchdog import Bound, watchdog
from database.background import survive
from database.settings import PREPARED_MAX, Limits

logger = logging.getLogger("database.statements")

# The parts of DISCARD ALL (PostgreSQL's documentation lists them), in one round trip, without the
# parts that drop prepared statements and their plans.
RESET_SQL = (
    b"CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; UNLISTEN *;"
    b" SELECT pg_advisory_unlock_all(); DISCARD TEMP; DISCARD SEQUENCES"
)
BUSY_OR_BROKEN = (pq.TransactionStatus.ACTIVE, pq.TransactionStatus.UNKNOWN)
LOGGED_LENGTH = 2_000  # characters of a slow statement
# Seconds. PostgreSQL keeps the plan of a prepared statement until the statistics change. A plan for
# an almost empty table reads the whole table, and gets slow if the table grows fast. Autovacuum
# changes the statistics about once a minute too, but not while it is off or busy. A new plan takes
# about a millisecond for a list of articles.
PLANS_LAST = 60.0

# The open connections of this process. A child process must not use them (`forks.py`).
open_connections: "weakref.WeakSet[Connection]" = weakref.WeakSet()


class Connection(psycopg.Connection[Any]):
    alias = DEFAULT_DB_ALIAS
    limits = Limits()
    cleanup = Cleanup.NONE
    """What the connection needs before the next request, because of its statements so far."""
    outdated = False
    """Whether a prepared statement became invalid."""

    def __init__(self, pgconn: pq.abc.PGconn, *args: Any) -> None:
        super().__init__(pgconn, *args)
        # The names of the prepared statements, by text and parameter types; the least recently
        # used one is the first.
        self.statement_names: OrderedDict[tuple[str, Sequence[int]], bytes] = OrderedDict()
        self._statement_numbers = itertools.count()
        self.opened_at = monotonic()
        self.answered_at = self.opened_at  # when the server last answered
        self.plans_until = self.opened_at + PLANS_LAST  # then PostgreSQL must plan again
        # Our own descriptor of the socket. libpq may close its descriptor at any time; its number
        # could belong to another connection when another thread cuts this one.
        self._handle = os.dup(pgconn.socket)
        self._handle_lock = threading.Lock()
        self._release = weakref.finalize(self, os.close, self._handle)
        self._release.atexit = False
        open_connections.add(self)

    @classmethod
    def connect(  # type: ignore[override]  # psycopg's, with more keywords
        cls,
        conninfo: str = "",
        *,
        alias: str = DEFAULT_DB_ALIAS,
        outage: Outage | None = None,
        limits: Limits | None = None,
        prepared_max: int = PREPARED_MAX,
        **kwargs: Any,
    ) -> Self:
        """Like psycopg's, but reports a failure to `outage`. `prepared_max` is the largest number
        of prepared statements. Raises psycopg.OperationalError."""
        try:
            connection = super().connect(conninfo, **kwargs)
        except OSError as error:  # no file descriptor is left for the handle
            raise psycopg.OperationalError(str(error)) from error
        except psycopg.Error as error:
            if outage:
                outage.failed(error)
            raise
        connection.alias = outage.alias if outage else alias
        metrics.CONNECTS.labels(connection.alias).inc()
        if limits:
            connection.limits = limits
        connection.prepared_max = prepared_max
        return connection

    def new_statement_name(self) -> bytes:
        """A name that no statement of this session has or had."""
        return b"query_%d" % next(self._statement_numbers)

    def cursor(self, name: str = "", *, row_factory: Any = None, **options: Any) -> Any:
        """A cursor as psycopg makes it, but of a subclass of `cursor_factory` that reports its
        statements to this connection. `cursor_factory` itself stays as Django set it."""
        if name:
            self.note_statement("DECLARE")
            return super().cursor(name, row_factory=row_factory, **options)
        if self.closed:
            raise psycopg.OperationalError("the connection is closed")
        kind = observed(self.cursor_factory)  # type: ignore[arg-type]  # mypy: not hashable
        cursor = kind(self, row_factory=row_factory or self.row_factory)
        if options.get("binary"):
            cursor.format = pq.Format.BINARY
        return cursor

    def close(self) -> None:
        super().close()
        open_connections.discard(self)
        with self._handle_lock:
            self._release()

    def cut(self) -> None:
        """Shut the socket down: a thread that waits for the server gets an error at once.

        Any thread may call it.
        """
        with self._handle_lock:
            if self._release.alive:
                handle = socket.socket(fileno=self._handle)
                with suppress(OSError):  # the socket is not connected
                    handle.shutdown(socket.SHUT_RDWR)
                handle.detach()

    def bounded(self, seconds: float) -> AbstractContextManager[Bound]:
        """A context that cuts the connection if its block takes longer than `seconds`."""
        return watchdog.bounded(self, seconds)

    def abandon(self) -> None:
        """After a fork, in the child: close the sockets of the parent's connection without telling
        the server. The object must stay referenced forever: its garbage collection would close
        descriptors that may belong to other files by then."""
        if self._release.detach():
            os.close(self._handle)
        with suppress(OSError, psycopg.Error):  # libpq has already closed its descriptor
            os.close(self.pgconn.socket)

    def ping(self, seconds: float) -> bool:
        """Whether the server answers an empty query within `seconds`. One round trip.

        Calls libpq directly, because `execute("")` takes 17 µs more: 2 % of a list request.
        """
        with self.bounded(seconds) as bound:
            try:
                answered = self.pgconn.exec_(b"").status == pq.ExecStatus.EMPTY_QUERY
                self.answered_at = monotonic()
            except psycopg.OperationalError:
                answered = False
        return answered and not bound.was_cut

    def clean(self, configure: Callable[["Connection"], None]) -> None:
        """Roll back an open transaction, and reset the session if a statement changed it;
        `configure` then sets it up again. A connection that cannot be cleaned is closed.

        At most two round trips and those of `configure`; none if there is nothing to clean.
        """
        status = self.pgconn.transaction_status
        if status == pq.TransactionStatus.IDLE and self.cleanup is Cleanup.NONE:
            return
        # A rollback would have to wait for the running statement.
        if status in BUSY_OR_BROKEN or self.cleanup is Cleanup.DISCARD:
            self.close()
            return
        with self.bounded(self.limits.ping_timeout) as bound:
            try:
                if status != pq.TransactionStatus.IDLE:
                    self.rollback()
                if self.cleanup is Cleanup.RESET:
                    self._reset()
                    configure(self)
            except psycopg.Error:
                self.close()
        if bound.was_cut:
            self.close()

    def _reset(self) -> None:
        result = self.pgconn.exec_(RESET_SQL)
        if result.status == pq.ExecStatus.FATAL_ERROR:
            raise psycopg.OperationalError("the session cannot be reset")

    def note_statement(self, query: Any) -> None:
        """Remember what the connection needs after this statement."""
        # Queries of other types, such as psycopg's Composed, are rare and not inspected.
        left = cleanup_after(query) if isinstance(query, str) else Cleanup.RESET
        self.cleanup = max(self.cleanup, left)

    @cached_property
    def _statement_seconds(self) -> Histogram:
        return metrics.STATEMENTS.labels(self.alias)  # cached, because labels() takes a lock

    def note_duration(self, query: Any, seconds: float) -> None:
        """Count the duration of a statement, and log a slow one without its parameters."""
        self._statement_seconds.observe(seconds)
        self.answered_at = monotonic()
        if seconds >= self.limits.slow_query:
            request = running_request()
            route = request.route() if request else ""
            survive(self._note_slow, query, seconds, route)
            logger.warning(
                "A statement took %.0f ms%s: %s",
                seconds * 1000,
                f" for {route}" if route else "",
                " ".join(str(query).split())[:LOGGED_LENGTH],
            )

    def _note_slow(self, query: Any, seconds: float, route: str) -> None:
        metrics.slow_statements.note(self.alias, _text_of(query), seconds, route)


def _text_of(query: Any) -> str:
    """The SQL of a query in any form that psycopg takes."""
    if isinstance(query, bytes):
        return query.decode(errors="replace")
    return query.as_string() if isinstance(query, sql.Composable) else str(query)
