"""What this process knows about the servers of a database, without asking them.

The watcher of each server (`nodes.py`) asks it twice a second. The thread of this module compares
the answers with the position of the acknowledged writes.
"""

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from database import metrics
from database.backend.acknowledged import Acknowledged
from database.backend.nodes import Node
from database.background import BackgroundThread, survive
from database.positions import Position

if TYPE_CHECKING:
    from database.positions import SharedPosition

INTERVAL = 0.5  # seconds
# Positions that are kept with their times: those of five minutes. A server that is further behind
# has this delay at least.
MAX_SAMPLES = 600


class Servers(Protocol):
    nodes: Sequence[Node]
    shared: "SharedPosition | None"
    acknowledged: Acknowledged

    @property
    def primary(self) -> Node | None: ...
    @property
    def has_no_primary(self) -> bool: ...


@dataclass(slots=True)
class ServerState:
    name: str
    """Host and port."""
    role: str
    """"primary", "standby", or "unknown" while it does not answer."""
    answers: bool
    position: str
    """What it had replayed when it last answered; "": unknown."""
    lag_bytes: int
    """How much of the newest position it lacks."""
    lag_seconds: float
    """For how long it has lacked it."""


class Monitor:
    def __init__(self, alias: str, servers: Servers, patience: float) -> None:
        """`patience` is the time in seconds that a read waits for a standby that is behind."""
        self._alias = alias
        self._servers = servers
        self._patience = patience
        self._samples: deque[tuple[float, Position]] = deque(maxlen=MAX_SAMPLES)
        self._has_looked = False
        self.position: Position | None = None
        """Of the acknowledged writes, as far as this process knows."""
        self.has_lease = False
        self._thread = BackgroundThread(f"database-monitor-{alias}", self._run)
        self.ensure_running = self._thread.ensure_running

    def wait_for_first_look(self, seconds: float) -> None:
        """In a process that has just started: wait until the primary has answered, or until every
        server was asked once."""
        until = monotonic() + seconds
        while not self._knows_enough() and monotonic() < until:
            time.sleep(0.01)

    def _knows_enough(self) -> bool:
        servers = self._servers
        return self._has_looked and (
            servers.primary is not None or all(node.was_asked for node in servers.nodes)
        )

    @property
    def nodes(self) -> Sequence[Node]:
        return self._servers.nodes

    @property
    def has_primary(self) -> bool:
        return self._servers.primary is not None

    @property
    def readable(self) -> list[Node]:
        """The servers that a read may use now. Without any, reads fail."""
        servers = self._servers
        primary = servers.primary
        if not self.has_lease and not (
            servers.has_no_primary and servers.acknowledged.is_connected
        ):
            return [primary] if primary else []
        return [
            node
            for node in servers.nodes
            if node is primary or (node.is_well and self._has_acknowledged(node))
        ]

    def _has_acknowledged(self, node: Node) -> bool:
        """Whether a read may wait until the server has what was acknowledged."""
        if self.position is None or node.position is None:
            return False
        return node.position >= self.position or self._seconds_behind(node) < self._patience

    @property
    def positions_error(self) -> str:
        """Why the position of the acknowledged writes cannot be read; "" if it can."""
        shared = self._servers.shared
        return "CACHE_URL is not set" if shared is None else shared.error

    def states(self) -> list[ServerState]:
        primary = self._servers.primary
        return [self._state(node, node is primary) for node in self._servers.nodes]

    def _state(self, node: Node, is_primary: bool) -> ServerState:
        role = "primary" if is_primary else "unknown"
        if node.is_well and node.is_primary is False:
            role = "standby"
        newest, position = self._newest(), node.position
        lag = max(0, newest.lsn - position.lsn) if newest and position else 0
        return ServerState(
            node.name,
            role,
            answers=node.is_well and node.was_asked,
            position=str(position or ""),
            # The watchers ask at different times: the primary itself is not behind.
            lag_bytes=0 if is_primary else lag,
            lag_seconds=0.0 if is_primary else round(self._seconds_behind(node), 1),
        )

    def _seconds_behind(self, node: Node) -> float:
        newest, position = self._newest(), node.position
        if newest is None or position is None or position >= newest:
            return 0.0
        now = monotonic()
        return now - next((at for at, each in list(self._samples) if each > position), now)

    def _newest(self) -> Position | None:
        primary = self._servers.primary
        known = [self.position, primary.position if primary else None]
        return max(filter(None, known), default=None)

    def _run(self) -> None:
        while not self._servers.nodes[0].pool.closed:
            survive(self._look)
            self._has_looked = True
            time.sleep(INTERVAL)

    def _look(self) -> None:
        position, self.has_lease = self._servers.acknowledged.position()
        if position and self._servers.has_no_primary:
            position = min(position, self._servers.acknowledged.replicated(position) or position)
        self.position = position
        newest = self._newest()
        if newest and not (self._samples and self._samples[-1][1] >= newest):
            self._samples.append((monotonic(), newest))
        self._set_gauges()

    def _set_gauges(self) -> None:
        metrics.LEASE_ALIVE.labels(self._alias).set(self.has_lease)
        for node, state in zip(self.nodes, self.states(), strict=True):
            metrics.set_server(
                node.pool.alias,
                answers=state.answers,
                is_primary=state.role == "primary",
                lag_bytes=state.lag_bytes,
                lag_seconds=state.lag_seconds,
            )
