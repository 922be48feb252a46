"""The probe: whether the database answers, in at most a second, whatever state it is in."""

import os
import threading
from collections import defaultdict
from collections.abc import Callable
from math import inf
from time import monotonic
from typing import Any

import psycopg

from database.backend import Connection
from database.background import survive

BOUND = 1.0  # seconds: how long an answer may take, and how old it may be


class Probe:
    """Asks over a connection of its own: the pool's are for requests, and may all be out.

    It asks in a thread of its own, because opening a connection can't be interrupted: the
    name of the host may have to be looked up, and each of its addresses has its time-out.
    """

    def __init__(self) -> None:
        self.forget_everything()

    def forget_everything(self) -> None:
        """Begin anew, also in a process that was forked: the connection is its parent's, and
        the thread that asks was not forked."""
        self._lock = threading.Condition()
        self._connection: Connection | None = None
        self._started_at = self._ended_at = -inf
        self._asking = False
        self._error: str | None = None

    def error(self, params: Callable[[], dict[str, Any]]) -> str | None:
        """Why the database does not answer, in libpq's words, which name hosts and users but
        no password; None if it does, or did less than a second ago.

        `params` returns what psycopg connects with; it is called where it may take long.
        """
        if error := self.start(params):
            return error
        with self._lock:
            left = self._started_at + BOUND - monotonic()
            if self._lock.wait_for(lambda: not self._asking, left):
                return self._error
            return f"no answer within {BOUND:g} s"

    def start(self, params: Callable[[], dict[str, Any]]) -> str | None:
        """Ask the database, unless it was asked less than a second ago. Returns why this process
        cannot ask."""
        with self._lock:
            if not self._asking and monotonic() - self._ended_at > BOUND:
                thread = threading.Thread(target=self._run, args=[params], daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:  # no more threads
                    return str(error)
                self._asking, self._started_at = True, monotonic()
        return None

    def close(self) -> None:
        """Close the connection, unless no answer is to be had; the next question opens another."""
        with self._lock:
            if self._lock.wait_for(lambda: not self._asking, BOUND) and self._connection:
                self._connection.close()
                self._connection = None
            self._ended_at = -inf

    def _run(self, params: Callable[[], dict[str, Any]]) -> None:
        error: str | None = None
        try:
            error = survive(self._ask, params)
        finally:
            if error is None:
                error = "the probe has failed"
            with self._lock:
                self._asking, self._ended_at, self._error = False, monotonic(), error or None
                self._lock.notify_all()

    def _ask(self, params: Callable[[], dict[str, Any]]) -> str:
        """Why the database does not answer; an empty text if it does."""
        if self._connection is not None:
            if self._connection.ping(BOUND):
                return ""
            # Idle for long, it may have been cut on the way: only a new one tells.
            self._connection.close()
            self._connection = None
        try:
            self._connection = Connection.connect(**params(), autocommit=True)
        except psycopg.Error as reason:
            return " ".join(str(reason).split())
        return ""


_probes: defaultdict[str, Probe] = defaultdict(Probe)  # by the alias of the database


def probe_of(alias: str) -> Probe:
    return _probes[alias]


def close_probes() -> None:
    """Close the connections of all probes. The next request to a probe opens another."""
    for probe in list(_probes.values()):
        probe.close()


def _forget_everything() -> None:
    for probe in _probes.values():
        probe.forget_everything()


os.register_at_fork(after_in_child=_forget_everything)
