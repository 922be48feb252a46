"""The position that a read must see: that of the writes that were acknowledged before it began.

Redis has it (`database.positions`).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from database.backend.nodes import Node
from database.backend.running import RunningRequest
from database.positions import Position, PositionsUnavailable

if TYPE_CHECKING:
    from database.positions import SharedPosition


class Acknowledged:
    """Knows the position of one database, from Redis and from the servers themselves."""

    def __init__(self, alias: str, nodes: Sequence[Node], shared: "SharedPosition | None") -> None:
        self._alias = alias
        self._nodes = nodes
        self._shared = shared
        self._newest: Position | None = None  # that this process has seen in Redis

    def ask(self, request: RunningRequest) -> None:
        """At the start of a read: ask Redis for the position. `position` fetches the answer."""
        question = self._shared.ask() if self._shared else None
        if question:
            request.questions[self._alias] = question

    def drop_question(self, request: RunningRequest) -> None:
        """At the end of a request, which may have used no connection."""
        question = request.questions.pop(self._alias, None)
        if question and self._shared:
            self._shared.answer(question)

    def position(self, request: RunningRequest | None = None) -> tuple[Position | None, bool]:
        """The position that a read must see, and whether it is certain."""
        shared = self._shared
        if shared is None:
            return None, False
        question = request.questions.pop(self._alias, None) if request else None
        try:
            answer = shared.answer(question) if question else None
            position, has_lease = answer or shared.read()
        except PositionsUnavailable:
            position, has_lease = None, False
        newest = self._newest
        # Usually nothing has been written since the last read.
        if position is None or position != newest or not has_lease or shared.error:
            # Redis may have been restarted without its data.
            known = [position, newest]
            if not has_lease:
                known += [node.committed for node in self._nodes]
            if shared.error:
                standbys = [node for node in self._nodes if node.is_well and not node.is_primary]
                known += [node.position for node in standbys]
            self._newest = newest = max(filter(None, known), default=None)
        return newest, has_lease

    def replicated(self, recorded: Position | None) -> Position | None:
        """A position that covers every acknowledged write, without the primary. None if there may
        be no such position, or if Redis does not answer.

        The primary may have raised the position in Redis to WAL that it has sent to no standby,
        before it was lost: so `recorded` is too high. With synchronous replication, no write in
        this WAL was acknowledged: a standby has every acknowledged write. So the standby with the
        most WAL has all of them. It is known if all servers but the primary tell how much they
        have received. Writes from before replication was synchronous may be on the primary only.
        """
        if not self._at_most_one_is_silent:
            return None  # not worth a question to the others: reads try again every 20 ms
        try:
            since = self._shared.synchronous_since() if self._shared else None
        except PositionsUnavailable:
            return None
        # No process has said yet whether replication is synchronous on a newer timeline.
        if since is None or recorded is None or since.timeline != recorded.timeline:
            return None
        known = [position for node in self._nodes if (position := node.received())]
        if not known or len(known) < len(self._nodes) - 1:
            return None
        # A standby may have received a newer timeline without having replayed it, so the largest
        # LSN counts too.
        least = Position(max(p.timeline for p in known), max(p.lsn for p in known))
        return least if least >= since else None

    @property
    def is_connected(self) -> bool:
        """Whether Redis answers, or all servers but one. If Redis and two servers are silent,
        perhaps only this machine and one standby are cut off, and other machines still write. With
        synchronous replication, each acknowledged write is on two servers."""
        has_redis = self._shared is not None and not self._shared.error
        return has_redis or self._at_most_one_is_silent

    @property
    def _at_most_one_is_silent(self) -> bool:
        return sum(node.is_well for node in self._nodes) >= len(self._nodes) - 1
