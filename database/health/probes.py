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

type Params = Callable[[], dict[str, Any]]


class Probe:
    """Checks a database over its own connection, because the pool's may all be in use.

    It checks in its own thread, because connecting cannot be interrupted: looking up the host may
    take long, and so may the connect timeout.
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

    def error(self, params: Params) -> str | None:
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
            return _silent(TIMEOUT)

    def start(self, params: Params) -> str | None:
        """Start a check, unless the last result is less than a second old. Returns an error if
        no thread can be started."""
        with self._lock:
            if not self._is_running and monotonic() - self._ended_at > TIMEOUT:
                return self._start(params)
        return None

    def use[T](
        self, params: Params, work: Callable[[Connection], T], seconds: float
    ) -> tuple[T | None, str]:
        """Call `work` with the connection of the probe, after a ping; so it needs no connection of
        the pool, and no other one. Returns its result and "", or None and an error.

        Takes at most `seconds`. Checks that come meanwhile wait for its end. `work` may raise
        psycopg.Error.
        """
        until = monotonic() + seconds
        outcome: list[tuple[T | None, str]] = []

        def bounded(connection: Connection) -> None:
            try:
                with connection.bounded(max(0.0, until - monotonic())):
                    outcome.append((work(connection), ""))
            except psycopg.Error as error:
                outcome.append((None, _one_line(error)))

        with self._lock:
            if not self._lock.wait_for(lambda: not self._is_running, seconds):
                return None, _silent(seconds)
            if error := self._start(params, bounded):
                return None, error
            if not self._lock.wait_for(lambda: not self._is_running, until - monotonic()):
                return None, _silent(seconds)
            return outcome[0] if outcome else (None, self._error or "the probe has failed")

    def _start(
        self, params: Params, work: Callable[[Connection], None] | None = None
    ) -> str | None:
        thread = threading.Thread(target=self._run, args=[params, work], daemon=True)
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

    def _run(self, params: Params, work: Callable[[Connection], None] | None) -> None:
        error: str | None = None
        try:
            error = survive(self._check, params)
            if error == "" and work and self._connection:
                survive(work, self._connection)
        finally:
            if error is None:
                error = "the probe has failed"
            with self._lock:
                self._is_running, self._ended_at, self._error = False, monotonic(), error or None
                self._lock.notify_all()

    def _check(self, params: Params) -> str:
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
            return _one_line(error)
        return ""


def _silent(seconds: float) -> str:
    return f"no answer within {seconds:g} s"


def _one_line(error: psycopg.Error) -> str:
    return " ".join(str(error).split())


class _Probes(dict[str, Probe]):
    def __missing__(self, alias: str) -> Probe:
        # setdefault() gives the same probe to two threads.
        return self.setdefault(alias, Probe(alias))


probes = _Probes()  # by the alias of the database


def probe(alias: str = DEFAULT_DB_ALIAS) -> Probe:
    return probes[alias]


def close_probes() -> None:
    """Close the connections of all probes. The next check opens a new connection."""
    for probe in list(probes.values()):
        probe.close()


def _reset_probes() -> None:
    for probe in probes.values():
        probe.reset()


os.register_at_fork(after_in_child=_reset_probes)
