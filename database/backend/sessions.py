"""How a pool opens the sessions of its connections, and which of them still work."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any

import psycopg

from database.backend.cleanup import Cleanup
from database.backend.connection import Connection
from database.backend.outages import Outage
from database.backend.running import running_request
from database.errors import NotConnected
from database.settings import Limits

# Seconds. A connection that answered less than this ago needs no ping. The value is HikariCP's.
TRUSTED_FOR = 0.5


@dataclass
class SessionSetup:
    """Opens and configures sessions, and reports each failure and success to the outage."""

    outage: Outage
    limits: Limits
    new_params: Callable[[], dict[str, Any]]
    """psycopg's parameters. Called for every new connection, so a new password is used at once."""
    configure_session: Callable[[Connection], object]
    after_commit: Callable[[Connection], object] | None = None
    """See `Connection.after_commit`."""

    def params(self) -> dict[str, Any]:
        """The parameters of `Connection.connect`. Raises psycopg.Error.

        psycopg waits after a failed attempt, but separately for each connection of a pool. So all
        attempts together are bounded here.
        """
        if not self.outage.allows_attempt():
            raise NotConnected("an attempt of another connection has just failed")
        try:
            params = self.new_params()
        except psycopg.Error as error:
            self.outage.failed(error)
            raise
        return params | {
            "outage": self.outage,
            "limits": self.limits,
            "after_commit": self.after_commit,
        }

    def verify(self, connection: Connection) -> None:
        """Ping a new session: PgBouncer accepts connections also while it has no server.

        Closes the connection and raises psycopg.Error if there is no answer within the ping
        timeout.
        """
        try:
            connection.check(self.limits.ping_timeout)
        except psycopg.Error as error:
            connection.close()
            self.outage.failed(error)
            raise

    def configure(self, connection: Connection) -> None:
        """Configure a session that is new or was reset, within the ping timeout.

        Raises psycopg.Error.
        """
        try:
            with connection.bounded(self.limits.ping_timeout):
                self.configure_session(connection)
        except psycopg.Error as error:
            self.outage.failed(error)
            raise
        self.outage.ended()
        # Configuring runs SET statements on purpose: their effect must not be reset.
        connection.cleanup = Cleanup.NONE


class Breakages:
    """What broken connections say about the other connections of the same pool."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._restarted_at = 0.0  # when a restart of the server was noticed
        self._broken_at = 0.0  # when a connection was last found broken

    def shows_restart(self, broken: Connection) -> bool:
        """Whether this broken connection is the first sign of a restart of the server: a restart
        breaks all connections that were opened before it."""
        with self._lock:
            if self.is_stale(broken):
                return False
            self._restarted_at = monotonic()
            return True

    def note(self) -> None:
        """Report that a connection was returned broken."""
        self._broken_at = monotonic()

    def is_stale(self, connection: Connection) -> bool:
        """Whether the connection was opened before the last restart."""
        return connection.opened_at <= self._restarted_at

    def needs_ping(self, connection: Connection) -> bool:
        """False if the connection answered within TRUSTED_FOR, and the request is in its first try
        and only reads. If the connection is broken, the request is run again with a ping."""
        request, now = running_request(), monotonic()
        if request is None or now > request.no_ping_until:
            return True
        # When one connection has broken, an earlier answer of another one proves nothing.
        return connection.answered_at <= max(now - TRUSTED_FOR, self._broken_at)
