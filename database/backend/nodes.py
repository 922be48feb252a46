"""A server that reads may use: its pool, its role, and how far it has come."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import inf
from time import monotonic
from typing import TYPE_CHECKING

import psycopg
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

from database.backend import wal
from database.backend.connection import Connection
from database.backend.pool import Pool
from database.background import BackgroundThread, survive
from database.positions import Position, PositionsUnavailable

if TYPE_CHECKING:
    from database.positions import SharedPosition

logger = logging.getLogger("database.replicas")

WATCH_INTERVAL = 0.5  # seconds; a lease lives four times as long
# Seconds that a read waits for a connection, before it tries another server: opening one takes
# milliseconds. The second figure is for a server that has not answered before.
TAKE_TIMEOUT, RETRY_TIMEOUT = 0.5, 0.1
# A server that has not answered for this many seconds counts as lost. A refused connection says so
# earlier; a lost machine refuses nothing.
AWAY_AFTER = 1.0
# Seconds. A standby replays a commit about a millisecond after the primary. One that is behind for
# longer than this is late: reads try it last.
LATE_AFTER = 0.1


class Node:
    """A thread of its own watches each server: a read need not find out that it does not answer.
    The thread of the primary renews the lease (`database.positions`)."""

    def __init__(self, name: str, pool: Pool, shared: "SharedPosition | None") -> None:
        self.name = name
        """Host and port."""
        self.pool = pool
        self.is_primary: bool | None = None
        """None: not known yet."""
        self.position: Position | None = None
        """What it had replayed when it was last asked."""
        self.committed: Position | None = None
        """What was committed on it when its watcher last asked it as the primary."""
        self.committed_since = -inf
        """A moment before this question."""
        self.is_well = True
        """False after a failure, until the watcher gets an answer."""
        self.was_asked = False
        """Whether the watcher has asked it once."""
        self._learned = Position(0, 0), -inf  # `position`, and a moment before the question
        self._failed_at = 0.0
        self._lack: tuple[Position, float] | None = None
        """A position that it had not replayed when a read needed it, and since when."""
        self._shared = shared
        self._watcher = BackgroundThread(f"database-watcher-{name}", self._watch)

    def open(self) -> None:
        if self.pool.closed:  # not at every call: open() takes a lock
            self.pool.open()
        self._watcher.ensure_running()

    @property
    def is_away(self) -> bool:
        """Whether it counts as lost. A single failure is not enough: a read that takes a slow
        primary for a lost one would assume that no write can be acknowledged."""
        return not self.is_well and (
            self.pool.setup.outage.cause != "" or monotonic() - self._failed_at > AWAY_AFTER
        )

    def has_answered(self, seconds: float) -> bool:
        """Whether it has answered a question that was asked within the last `seconds`."""
        return monotonic() - self._learned[1] < seconds

    @property
    def is_good(self) -> bool:
        """Whether it is a standby that serves reads, as far as this process knows."""
        return self.is_primary is False and self.is_well and not self.is_late

    @property
    def is_late(self) -> bool:
        lack = self._lack
        return lack is not None and monotonic() - lack[1] > LATE_AFTER

    def has(self, position: Position, connection: Connection) -> bool:
        """Whether a read on this connection sees everything up to the position. Asks the server if
        its last answer on this connection does not tell; False if it does not answer."""
        known = connection.position
        if known is not None and known >= position:
            self._lack = None
            return True
        # A restart of the server breaks its sessions. So the answer to another session also holds
        # for a session that was opened before the question.
        learned, asked_at = self._learned
        known = learned if connection.opened_at < asked_at else None
        if known is None or known < position:
            known = self.ask(connection)
        if known is None:
            return False
        # The primary of the newest timeline has everything.
        has = known.timeline >= position.timeline if connection.is_primary else known >= position
        if has:
            self._lack = None
        elif self._lack is None:
            self._lack = position, monotonic()
        return has

    def take(self, timeout: float, *, first: bool = False) -> Connection | None:
        """A connection; None if there is none within `timeout` seconds. `first`: see `Pool`."""
        started = monotonic()
        try:
            connection = self.pool.getconn(timeout, first=first)
        except (PoolTimeout, TooManyRequests, PoolClosed):
            # A frozen server, or one that was lost: a new connection has not come in time. The
            # pool learns the cause only after the connect timeout.
            waited = monotonic() - started
            stalled = waited >= TAKE_TIMEOUT and self.pool.in_use < self.pool.max_size
            if stalled or self.pool.setup.outage.cause:
                self.failed()
            return None
        return connection

    @contextmanager
    def borrowed(self, timeout: float, *, first: bool = False) -> Iterator[Connection | None]:
        """Lend a connection; None if the server does not answer, or has none within `timeout`
        seconds."""
        connection = self.take(timeout, first=first)
        try:
            yield connection
        finally:
            if connection:
                self.pool.putconn(connection)

    def ask(self, connection: Connection) -> Position | None:
        """How far the server has come, as it answers on this connection; None if it does not answer
        within the ping timeout, or has no table of the timelines yet."""
        asked_at = monotonic()
        try:
            with connection.bounded(connection.limits.ping_timeout) as bound:
                position, is_primary = wal.standing(connection)
        except psycopg.errors.UndefinedTable:
            return None
        except psycopg.Error:
            connection.close()
            self.failed()
            return None
        if bound.was_cut:
            connection.close()
            return None
        connection.answered_at = monotonic()
        connection.position = self.position = position
        self._learned = position, asked_at
        connection.is_primary = self.is_primary = is_primary
        # The watcher asks too: reads do not ask a late standby while they have a better server.
        lack = self._lack
        if lack and position >= lack[0]:
            self._lack = None
        return position

    def received(self) -> Position | None:
        """How far the WAL on its disk goes, replayed or not, asked now. None if it does not answer
        or does not know, or is the primary."""
        if not self.is_well:
            return None
        with self.borrowed(TAKE_TIMEOUT) as connection:
            position = self.ask(connection) if connection else None
            if not connection or position is None or connection.is_primary:
                return None
            try:
                with connection.bounded(connection.limits.ping_timeout):
                    lsn = wal.received(connection)
            except psycopg.Error:
                connection.close()
                return None
            return None if lsn is None else position._replace(lsn=lsn)

    def failed(self) -> None:
        """Report that the server did not answer. Reads avoid it until it answers its watcher."""
        if self.is_well:
            self._failed_at, self.is_well = monotonic(), False
            logger.warning("%s does not answer: reads avoid it.", self.name)

    def _watch(self) -> None:
        while not self.pool.closed:
            survive(self._look)
            self.was_asked = True
            time.sleep(WATCH_INTERVAL)

    def _look(self) -> None:
        # Not behind the reads that wait: in a busy pool the lease would end.
        with self.borrowed(TAKE_TIMEOUT, first=True) as connection:
            since = monotonic()
            if not connection or self.ask(connection) is None:
                return
            if not self.is_well:
                self.is_well = True
                logger.warning("%s answers again: reads use it.", self.name)
            if self._shared and connection.is_primary:
                self._renew(self._shared, connection, since)

    def _renew(self, shared: "SharedPosition", connection: Connection, since: float) -> None:
        """Renew the lease. `since` is a moment before the position is read."""
        try:
            with connection.bounded(connection.limits.ping_timeout):
                # Asked first: it must hold for all commits after the position.
                is_synchronous = wal.is_synchronous(connection)
                position = wal.committed(connection)
        except psycopg.Error:
            connection.close()
            return
        if position is None:
            return
        self.committed, self.committed_since = position, since
        with suppress(PositionsUnavailable):  # it has logged why
            shared.renew(position, since, is_synchronous=is_synchronous)
