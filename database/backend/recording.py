"""Records the position of each commit in Redis, or makes up for it.

A write is acknowledged only when no read that begins afterwards can miss it, on any machine.
"""

import time
from collections.abc import Sequence
from math import inf
from threading import get_ident
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple, Protocol

import psycopg
from psycopg import pq

from database.backend import wal
from database.backend.connection import Connection
from database.backend.nodes import Node
from database.backend.running import running_request
from database.positions import LEASE, Position, PositionsUnavailable

if TYPE_CHECKING:
    from database.positions import SharedPosition

POLL_INTERVAL = 0.02  # seconds between two rounds over all servers
# Seconds after a commit when no lease from before it can be alive: the clocks of two machines may
# run at slightly different rates.
LEASES_END = LEASE * 1.05
_IN_TRANSACTION = (pq.TransactionStatus.INTRANS, pq.TransactionStatus.INERROR)


class Servers(Protocol):
    nodes: Sequence[Node]
    shared: "SharedPosition | None"

    @property
    def primary(self) -> Node | None: ...
    def open(self) -> None: ...


class Recorder:
    def __init__(self, servers: Servers, ping_timeout: float) -> None:
        self._servers = servers
        self._ping_timeout = ping_timeout
        # The last commit of each thread outside of requests, if its position is not recorded.
        self._owed: dict[int, Unrecorded] = {}

    def close(self) -> None:
        """Wait for the commits outside of requests that are not recorded."""
        for unrecorded in list(self._owed.values()):
            unrecorded.wait()

    def record(self, connection: Connection) -> None:
        """After a commit on this connection: raise the position in Redis.

        If that fails, the request must wait before it answers. Outside of requests `close` waits,
        because a command has reported its success when it ends.
        """
        committed_at, status = monotonic(), connection.pgconn.transaction_status
        if status in _IN_TRANSACTION and not connection.committed:
            return
        connection.wrote = connection.committed = False
        if self._servers.shared is None:
            return  # reads use the primary
        position, is_recorded = None, False
        try:
            if status == pq.TransactionStatus.IDLE:
                with connection.bounded(self._ping_timeout):
                    position = wal.committed(connection)
                if position:
                    self._servers.shared.raise_to(position)
                is_recorded = True
        except (psycopg.Error, PositionsUnavailable):
            pass
        request = running_request()
        if request and not is_recorded:
            request.unrecorded.append(Unrecorded(self, position, committed_at))
        elif not is_recorded:
            self._owed[get_ident()] = Unrecorded(self, position, committed_at)
        elif not request:
            self._owed.pop(get_ident(), None)

    def wait_for(self, position: Position | None, committed_at: float) -> bool:
        """Wait until every read that begins afterwards sees a commit whose position is not in
        Redis. It waits until one of these is true: Redis has the position; all servers have
        replayed it; every lease from before the commit has ended.

        False if the primary is lost. Then reads go on with the last known position, which may be
        older than the commit.
        """
        self._servers.open()
        while True:
            primary = self._servers.primary
            asked_at = primary.committed_since if primary else -inf
            if position is None and primary and asked_at > committed_at:
                position = primary.committed  # the connection was lost after the commit
            if position and (self._raises(position) or self._all_have_replayed(position)):
                return True
            if monotonic() >= committed_at + LEASES_END:
                if asked_at > committed_at:
                    return True
                if monotonic() >= committed_at + LEASES_END + self._ping_timeout:
                    return False
            time.sleep(POLL_INTERVAL)

    def _raises(self, position: Position) -> bool:
        try:
            if self._servers.shared:
                self._servers.shared.raise_to(position)
        except PositionsUnavailable:
            return False
        return True

    def _all_have_replayed(self, position: Position) -> bool:
        return all(self._has_replayed(node, position) for node in self._servers.nodes)

    def _has_replayed(self, node: Node, position: Position) -> bool:
        if node.position and node.position >= position:
            return True
        if not node.is_well:
            return False
        with node.borrowed(POLL_INTERVAL) as connection:
            return connection is not None and node.has(position, connection)


class Unrecorded(NamedTuple):
    """A commit whose position is not in Redis."""

    recorder: Recorder
    position: Position | None
    """None: the connection was lost after the commit."""
    committed_at: float

    def wait(self) -> bool:
        """Wait until it may be acknowledged; False if it may not. Takes at most LEASES_END, or a
        ping timeout more if no primary answers."""
        return self.recorder.wait_for(self.position, self.committed_at)
