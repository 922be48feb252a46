"""Reads on every server of a database: which one serves a read.

A read uses a standby that has every acknowledged write, otherwise the primary. Without a lease, the
position of these writes (`acknowledged.py`) may be too old, so reads use the primary. Without a
primary, no write can be acknowledged, and the last position is enough.
"""

import time
from collections.abc import Iterator, Sequence
from math import inf
from random import random
from time import monotonic
from typing import TYPE_CHECKING

from psycopg_pool import PoolTimeout

from database import errors, metrics
from database.backend.acknowledged import Acknowledged
from database.backend.checkouts import checked_out
from database.backend.connection import Connection
from database.backend.monitor import Monitor
from database.backend.nodes import AWAY_AFTER, RETRY_TIMEOUT, TAKE_TIMEOUT, Node
from database.backend.recording import POLL_INTERVAL, Recorder
from database.backend.running import RunningRequest
from database.positions import Position
from database.settings import Limits

if TYPE_CHECKING:
    from database.positions import SharedPosition

OPEN_INTERVAL = 0.5  # seconds


class Replicas:
    """The servers of one database, with a pool for each. A server of any role may be among them,
    and the roles may change at any time."""

    def __init__(
        self, alias: str, nodes: Sequence[Node], shared: "SharedPosition | None", limits: Limits
    ) -> None:
        self.nodes = nodes
        self.shared = shared
        self._alias = alias
        metrics.start_reads_at_zero(alias)
        self.monitor = Monitor(alias, self, limits.replica_timeout)
        self._limits = limits
        self.recorder = Recorder(self, limits.ping_timeout)
        self._open_at = 0.0  # when the next read makes sure that pools and threads run
        self.acknowledged = Acknowledged(alias, nodes, shared)

    def open(self) -> None:
        for node in self.nodes:
            node.open()
        self.monitor.ensure_running()

    def close(self) -> None:
        self.recorder.close()
        for node in self.nodes:
            node.pool.close()
        if self.shared:
            self.shared.close()

    @property
    def primary(self) -> Node | None:
        """The primary, unless it is lost. After a failover, the old primary may still take itself
        for one: the newest timeline decides."""
        primaries = [node for node in self.nodes if node.is_primary and not node.is_away]
        return max(primaries, key=lambda node: node.position or Position(0, 0), default=None)

    @property
    def has_no_primary(self) -> bool:
        """Whether every server has been asked, and none that answers is the primary."""
        return self.primary is None and all(
            node.is_primary is not None or not node.is_well for node in self.nodes
        )

    @property
    def _may_lose_primary(self) -> bool:
        """Whether the primary has just failed, and does not count as lost yet."""
        primary = self.primary
        return primary is not None and not primary.is_well

    def getconn(self, request: RunningRequest) -> Connection:
        """A connection to a server that has every acknowledged write.

        Raises PoolTimeout if no server has: after the replica timeout, or AWAY_AFTER later if the
        primary has just failed and may be lost.
        """
        started = monotonic()
        if started >= self._open_at:  # not each time: it costs 3 % of a read
            self.open()
            self._open_at = started + OPEN_INTERVAL
        until = min(started + self._limits.acquire_timeout, request.acquire_by or inf)
        position, has_lease, least = None, False, None
        while True:
            if not has_lease:  # with a lease, the position covers all that this read must see
                position, has_lease = self.acknowledged.position(request)
            connection = self._choose(request, position, has_lease, until)
            if connection is None and self.has_no_primary:
                # Later answers may be higher, but this read needs no more than the first one.
                least = least or self.acknowledged.replicated(position)
                connection = least and self._choose(request, least, has_lease, until)
            if connection:
                return connection
            patience = self._limits.replica_timeout + AWAY_AFTER * self._may_lose_primary
            if monotonic() >= min(started + patience, until):
                raise PoolTimeout(f"no server can serve the read: {self._cause(position)}")
            time.sleep(POLL_INTERVAL)

    def note_failure(self, request: RunningRequest, error: BaseException) -> None:
        """Report that a read failed, so that its next try uses another server."""
        node = request.nodes.get(self._alias)
        if node is None:
            return
        request.failed_nodes += (node,)
        if errors.is_lost_connection(error):
            reason = "cut" if request.was_cut_early else "lost"
            # A server that answers others is not lost: only this read is slow.
            if not (request.was_cut_early and node.has_answered(self._limits.replica_timeout)):
                node.failed()
        elif errors.is_read_only(error):
            reason = "read_only"
            request.reads_replicas = False  # it writes
        else:
            reason = "conflict"
            request.needs_primary = True
        metrics.RERUN_READS.labels(self._alias, reason).inc()

    def _choose(
        self,
        request: RunningRequest,
        position: Position | None,
        has_lease: bool,
        until: float,
    ) -> Connection | None:
        """A connection to the first server that can serve the read."""
        for node in self._candidates(request, has_lease):
            patience = TAKE_TIMEOUT if node.is_well else RETRY_TIMEOUT
            connection = node.take(min(patience, until - monotonic()))
            if connection and self._serves(request, node, connection, position, has_lease):
                return connection
        return None

    def _candidates(self, request: RunningRequest, has_lease: bool) -> Iterator[Node]:
        """The servers that may serve the read, in the order in which to try them."""
        first = None
        if has_lease and not request.needs_primary:
            # Usually one of these serves the read, so the others are not sorted.
            good = [
                node for node in self.nodes if node.is_good and node not in request.failed_nodes
            ]
            if good:
                first = good[int(random() * len(good))]  # noqa: S311 -- spreads the reads
                yield first
        primary = self.primary
        if primary and (request.needs_primary or not has_lease):
            yield primary
            return

        def rank(node: Node) -> tuple[bool, bool, bool, bool, float]:
            # The watchers may not have noticed yet that a server is well again, so it comes last.
            is_failed = node in request.failed_nodes
            order = random()  # noqa: S311 -- spreads the reads
            return not node.is_well, is_failed, node.is_late, node is primary, order

        # Without a primary, reads try again until the replica timeout. To wait each time for a
        # server that does not answer would make all of them slow.
        well = [] if primary else [node for node in self.nodes if node.is_well]
        yield from sorted((node for node in well or self.nodes if node is not first), key=rank)

    def _serves(
        self,
        request: RunningRequest,
        node: Node,
        connection: Connection,
        position: Position | None,
        has_lease: bool,
    ) -> bool:
        """Whether the server can serve the read. If not, the connection is returned."""
        suits = False
        try:
            suits = self._suits(node, connection, position, has_lease)
        finally:
            if not suits:
                node.pool.putconn(connection)
        if suits:
            request.nodes[self._alias] = node
            if len(self.nodes) > 1:
                self._limit(request, node, connection, has_lease)
        return suits

    def _limit(
        self, request: RunningRequest, node: Node, connection: Connection, has_lease: bool
    ) -> None:
        """Let the watchdog cut a slow read, so that another server can serve it. Not if no other
        server or try is left: a slow answer is better than none. Without a lease, another server
        is left once Redis answers, or once the primary counts as lost."""
        is_last = request.is_last_try or not self._another_answers(node)
        if connection.is_primary or node.is_primary:
            self._count_on_primary(node, has_lease)
            is_last = is_last or request.was_cut_early or self.shared is None
        if not is_last:
            checked_out[id(connection)].patience = self._limits.replica_timeout

    def _another_answers(self, node: Node) -> bool:
        return any(other.is_well for other in self.nodes if other is not node)

    def _count_on_primary(self, primary: Node, has_lease: bool) -> None:
        if not has_lease:
            reason = "no_lease"
        elif self._another_answers(primary):
            reason = "standbys_behind"
        else:
            reason = "no_standby"
        metrics.PRIMARY_READS.labels(self._alias, reason).inc()

    def _suits(
        self, node: Node, connection: Connection, position: Position | None, has_lease: bool
    ) -> bool:
        if position and not node.has(position, connection):
            return False
        if has_lease or (position and self.has_no_primary and self.acknowledged.is_connected):
            return True
        # A primary stays one as long as its sessions live.
        return connection.is_primary or (node.ask(connection) is not None and connection.is_primary)

    def _cause(self, position: Position | None) -> str:
        if self.has_no_primary and position is None:
            return "there is no primary, and the position of the acknowledged writes is unknown"
        answering = sum(node.is_well for node in self.nodes)
        return (
            f"{answering} of {len(self.nodes)} servers answer; none of them has every"
            " acknowledged write and a free connection"
        )
