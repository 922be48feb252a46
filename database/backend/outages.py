"""Log one line when a database cannot be reached, and one when it can be reached again."""

import logging
import threading
import time
from time import monotonic

import psycopg

from database import metrics

logger = logging.getLogger("database.outages")

# Seconds between two attempts of a pool to connect during an outage.
RECONNECT_INTERVAL = 0.5

# libpq gives no code for why a connection failed, only a text. A text in another language than
# English has the cause "other".
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
    """Whether this process can connect to a database."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        metrics.start_at_zero(alias, causes={"timeout", "other", *CAUSES.values()})
        self._lock = threading.Lock()
        self._since: float | None = None
        self._tried_at = 0.0  # when a pool last tried to connect during the outage
        self._past = metrics.PastOutage(alias, 0)  # of the running outage, or the last one
        self.cause = ""
        """During an outage, libpq's text for the last failure. It names hosts and users, but no
        password: for the log, not for clients."""

    def allows_attempt(self) -> bool:
        """Whether a pool may try to connect now: during an outage, one attempt in each interval."""
        if self._since is None:  # the usual case, decided without the lock
            return True
        with self._lock:
            now = monotonic()
            if self._since is not None and now < self._tried_at + RECONNECT_INTERVAL:
                return False
            self._tried_at = now
            return True

    def failed(self, error: psycopg.Error) -> None:
        """Report that a connection could not be opened."""
        metrics.CONNECT_ERRORS.labels(self.alias, cause_of(error)).inc()
        cause = " ".join(str(error).split())
        with self._lock:
            begins = self._since is None
            if self._since is None:
                self._since = self._tried_at = monotonic()
                self._past = metrics.PastOutage(self.alias, time.time())
                metrics.outages.append(self._past)
            self.cause = cause
            self._past.add_cause(cause)
        if begins:
            logger.error("No connection to the database %r: %s", self.alias, cause)

    def ended(self) -> None:
        """Report that a connection was opened."""
        if self._since is None:  # the usual case, decided without the lock
            return
        with self._lock:
            since, self._since = self._since, None
            cause, self.cause = self.cause, ""
            self._past.ended_at = time.time()
        if since is not None:
            seconds = monotonic() - since
            logger.warning(
                "The database %r can be reached again after %.1f s. The cause was: %s",
                self.alias,
                seconds,
                cause,
            )


def cause_of(error: psycopg.Error) -> str:
    """Why a connection failed, as one of the labels of the metric."""
    if isinstance(error, psycopg.errors.ConnectionTimeout):
        return "timeout"
    words = str(error).lower()
    return next((cause for text, cause in CAUSES.items() if text in words), "other")
