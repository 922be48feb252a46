"""Probes: does a database answer within a second?"""

import os
import threading
from collections.abc import Callable
from math import inf
from time import monotonic
from typing import Any

import psycopg
from django.db import DEFAULT_DB_ALIAS

from database.backend import Connection
from database.background import survive

TIMEOUT = 1.0  # seconds that an answer may take, and that a result is reused


class Probe:
    """Checks a database over its own connection, because the pool's may all be in use.

    It checks in its own thread, because connecting cannot be interrupted: looking up the host may
    take long, and each address of the host has the whole connect timeout.
    """

    def __init__(self, alias: str = DEFAULT_DB_ALIAS) -> None:
        self._alias = alias
        self.reset()

    def reset(self) -> None:
        """Forget all state, also in a forked process: its parent has the connection and the
        thread."""
        self._lock = threading.Condition()
        self._connection: Connection | None = None
        self._started_at = self._ended_at = -inf
        self._is_running = False
        self._error: str | None = None

    def error(self, params: Callable[[], dict[str, Any]]) -> str | None:
        """Why the database does not answer; None if it answered within the last second.

        The text contains hosts and users, but no password. `params` returns psycopg's connection
        parameters. It is called in the probe's thread, because it may block.
        """
        if error := self.start(params):
            return error
        with self._lock:
            left = self._started_at + TIMEOUT - monotonic()
            if self._lock.wait_for(lambda: not self._is_running, left):
                return self._error
            return f"no answer within {TIMEOUT:g} s"

    def start(self, params: Callable[[], dict[str, Any]]) -> str | None:
        """Start a check, unless the last result is less than a second old. Returns an error if
        no thread can be started."""
        with self._lock:
            if not self._is_running and monotonic() - self._ended_at > TIMEOUT:
                thread = threading.Thread(target=self._run, args=[params], daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:  # no more threads
                    return str(error)
                self._is_running, self._started_at = True, monotonic()
        return None

    def close(self) -> None:
        """Close the connection, unless a check does not end in time. The next check opens a new
        connection."""
        with self._lock:
            if self._lock.wait_for(lambda: not self._is_running, TIMEOUT) and self._connection:
                self._connection.close()
                self._connection = None
            self._ended_at = -inf

    def _run(self, params: Callable[[], dict[str, Any]]) -> None:
        error: str | None = None
        try:
            error = survive(self._check, params)
        finally:
            if error is None:
                error = "the probe has failed"
            with self._lock:
                self._is_running, self._ended_at, self._error = False, monotonic(), error or None
                self._lock.notify_all()

    def _check(self, params: Callable[[], dict[str, Any]]) -> str:
        """Why the database does not answer; "" if it answers."""
        if self._connection is not None:
            if self._connection.ping(TIMEOUT):
                return ""
            # The network may have dropped an idle connection. Only a new connection shows whether
            # the database answers.
            self._connection.close()
            self._connection = None
        try:
            self._connection = Connection.connect(alias=self._alias, **params(), autocommit=True)
        except psycopg.Error as error:
            return " ".join(str(error).split())
        return ""


class _Probes(dict[str, Probe]):
    def __missing__(self, alias: str) -> Probe:
        # setdefault() gives the same probe to two threads.
        return self.setdefault(alias, Probe(alias))


probes = _Probes()  # by the alias of the database


def close_probes() -> None:
    """Close the connections of all probes. The next check opens a new connection."""
    for probe in list(probes.values()):
        probe.close()


def _reset_probes() -> None:
    for probe in probes.values():
        probe.reset()


os.register_at_fork(after_in_child=_reset_probes)
