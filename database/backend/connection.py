"""A psycopg connection that another thread can cut, and that knows how to clean its session."""

import itertools
import logging
import os
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from time import monotonic
from typing import Any, Self

import psycopg
from django.db import DEFAULT_DB_ALIAS
from prometheus_client import Histogram
from psycopg import pq, sql

from database import metrics
from database.backend import hosts
from database.backend.cleanup import Cleanup, cleanup_after
from database.backend.cursors import observed
from database.backend.outages import Outage
from database.backend.running import running_request
from database.backend.socket_handle import SocketHandle
from database.backend.watchdog import Bound, watchdog
from database.backend.writes import may_skip_flush, may_write
from database.background import survive
from database.positions import Position
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
    after_commit: Callable[["Connection"], object] | None = None
    """Called after each commit of a write outside of requests. None: nothing is called."""
    wrote = False
    """Whether a statement may have written whose position is not recorded yet."""
    committed = False
    """Whether such a statement was committed by `commit`."""
    skips_flush = False
    """Whether a transaction since the last recorded position may have had no synchronous commit."""
    system_identifier: bytes | None = None
    """Of the server; None: not asked yet."""
    position: Position | None = None
    """What the server had at least replayed, by its last answer on this connection."""
    is_primary = False
    """Whether the server has said here that it is the primary. It then stays one for the life of
    the connection."""

    def __init__(self, pgconn: pq.abc.PGconn, *args: Any) -> None:
        super().__init__(pgconn, *args)
        # The names of the prepared statements, by text and parameter types; the least recently
        # used one is the first.
        self.statement_names: OrderedDict[tuple[str, Sequence[int]], bytes] = OrderedDict()
        self._statement_numbers = itertools.count()
        self.wal_statements: set[bytes] = set()  # the names of those that `wal.py` has prepared
        self.opened_at = monotonic()
        self.answered_at = self.opened_at  # when the server last answered
        self.plans_until = self.opened_at + PLANS_LAST  # then PostgreSQL must plan again
        self._socket = SocketHandle(self, pgconn.socket)
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
        after_commit: Callable[["Connection"], object] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Like psycopg's, but tries several hosts as `hosts.py` says, and reports a failure to
        `outage`. `prepared_max` is the largest number of prepared statements.

        Raises psycopg.OperationalError.
        """
        alias = outage.alias if outage else alias
        try:
            attempts, options = hosts.split(conninfo, kwargs)
            if len(attempts) == 1:
                connection = super().connect(**attempts[0], **options)
            else:
                connection = hosts.connect(cls, alias, attempts, options)
        except OSError as error:  # no file descriptor is left for the handle
            raise psycopg.OperationalError(str(error)) from error
        except psycopg.Error as error:
            if outage:
                outage.failed(error)
            raise
        connection.alias = alias
        metrics.CONNECTS.labels(alias).inc()
        if limits:
            connection.limits = limits
        connection.prepared_max = prepared_max
        connection.after_commit = after_commit
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
        self._socket.close()

    def cut(self) -> None:
        """Shut the socket down: a thread that waits for the server gets an error at once.

        Any thread may call it.
        """
        self._socket.shut_down()

    @property
    def is_waiting(self) -> bool:
        """Whether a thread waits for the server's answer to a statement. Any thread may ask."""
        return self.pgconn.transaction_status == pq.TransactionStatus.ACTIVE

    def bounded(self, seconds: float) -> Bound:
        """A context that cuts the connection if its block takes longer than `seconds`."""
        return watchdog.bounded(self, seconds)

    def abandon(self) -> None:
        """After a fork, in the child: close the sockets of the parent's connection without telling
        the server. The object must stay referenced forever: its garbage collection would close
        descriptors that may belong to other files by then."""
        self._socket.close_after_fork()
        with suppress(OSError, psycopg.Error):  # libpq has already closed its descriptor
            os.close(self.pgconn.socket)

    def ping(self, seconds: float) -> bool:
        """Whether the server answers an empty query within `seconds`. One round trip."""
        try:
            self.check(seconds)
        except psycopg.OperationalError:
            return False
        return True

    def check(self, seconds: float) -> None:
        """Like `ping`, but raises psycopg.OperationalError with the cause.

        Calls libpq directly, because `execute("")` takes 17 µs more: 2 % of a list request.
        """
        with self.bounded(seconds) as bound:
            try:
                answered = self.pgconn.exec_(b"").status == pq.ExecStatus.EMPTY_QUERY
                self.answered_at = monotonic()
            except psycopg.OperationalError:
                answered = False
        if bound.was_cut:
            raise psycopg.errors.ConnectionTimeout(f"no answer within {seconds:g} s")
        if not answered:
            raise psycopg.OperationalError(self.pgconn.get_error_message())

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
        if self.after_commit:
            text = query if isinstance(query, str) else ""
            self.wrote = self.wrote or not text or may_write(text)
            self.skips_flush = self.skips_flush or not text or may_skip_flush(text)
            if self.wrote and (request := running_request()):
                request.wrote = True

    def commit(self) -> None:
        super().commit()
        self.committed = self.wrote
        self.report_commit()

    @contextmanager
    def transaction(self, *args: Any, **kwargs: Any) -> Iterator[psycopg.Transaction]:
        """Like psycopg's, which commits without calling `commit`."""
        with super().transaction(*args, **kwargs) as transaction:
            yield transaction
        self.report_commit()

    @contextmanager
    def pipeline(self) -> Iterator[psycopg.Pipeline]:
        """Like psycopg's. A statement in it may be committed at its end only."""
        with super().pipeline() as pipeline:
            yield pipeline
        self.report_commit()

    def report_commit(self) -> None:
        """Report that what was written is committed, unless a transaction is open. In a request,
        DatabaseMiddleware does so once, before the response."""
        if (
            self.wrote
            and self.after_commit
            and self.pgconn.transaction_status == pq.TransactionStatus.IDLE
            and self.pgconn.pipeline_status == pq.PipelineStatus.OFF
            and running_request() is None
        ):
            self.after_commit(self)

    @cached_property
    def _statement_seconds(self) -> Histogram:
        return metrics.STATEMENTS.labels(self.alias)  # cached, because labels() takes a lock

    def note_duration(self, query: Any, seconds: float) -> None:
        """Count the duration of a statement, and log a slow one without its parameters."""
        self._statement_seconds.observe(seconds)
        self.answered_at = monotonic()
        self.report_commit()
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
