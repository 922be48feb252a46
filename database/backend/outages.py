"""One line in the log when the database is gone, and one when it is back."""

import logging
import threading
from time import monotonic

import psycopg

from database import metrics

logger = logging.getLogger("database.outages")

# libpq has no codes for why a connection failed, only words; the server's own may be in another
# language, and then the cause is "other". For a metric's label that is good enough.
CAUSES = {
    "password authentication failed": "authentication",
    "no password supplied": "authentication",
    "pg_hba.conf": "authentication",
    "too many": "too_many_connections",
    "remaining connection slots": "too_many_connections",
    "refused": "refused",
    "no such file": "refused",
    "starting up": "not_ready",
    "shutting down": "not_ready",
    "recovery": "not_ready",
    "certificate": "tls",
    "ssl": "tls",
    "translate host name": "name_resolution",
    "name resolution": "name_resolution",
    "does not exist": "does_not_exist",
    "unreachable": "unreachable",
    "closed the connection": "closed",
}


class Outage:
    """Whether a database can be connected to, as the attempts of this process show it."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        metrics.start_at_zero(alias, causes={"timeout", "other", *CAUSES.values()})
        self._lock = threading.Lock()
        self._since: float | None = None
        self.cause = ""
        """libpq's words for the last failure, while there is an outage. They name hosts and
        users, and no password: for the log, not for clients."""

    def failed(self, error: psycopg.Error) -> None:
        """An attempt to open a session has failed."""
        metrics.CONNECT_ERRORS.labels(self.alias, cause_of(error)).inc()
        cause = " ".join(str(error).split())
        with self._lock:
            begins = self._since is None
            if self._since is None:
                self._since = monotonic()
            self.cause = cause
        if begins:
            logger.error("No connection to the database %r: %s", self.alias, cause)

    def ended(self) -> None:
        """An attempt to open a session has succeeded."""
        if self._since is None:  # nearly always; read without the lock, which is then spared
            return
        with self._lock:
            since, self._since = self._since, None
            cause, self.cause = self.cause, ""
        if since is not None:
            seconds = monotonic() - since
            logger.warning(
                "The database %r is back after %.1f s; it was: %s", self.alias, seconds, cause
            )


def cause_of(error: psycopg.Error) -> str:
    """One of a few words for why a connection failed, for the metric."""
    if isinstance(error, psycopg.errors.ConnectionTimeout):
        return "timeout"
    words = str(error).lower()
    return next((cause for text, cause in CAUSES.items() if text in words), "other")
