"""Connect to one of several hosts, first to the one that is likely to fit.

libpq and psycopg try the hosts one after the other, in the order of the URL. A frozen or lost host
would cost each new connection the whole connect timeout. So the next host is tried beside one that
does not answer soon, as RFC 8305 ("Happy Eyeballs") does for the addresses of a name. And this
process remembers which host fitted, and which did not answer.
"""

import random
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from selectors import DefaultSelector
from time import monotonic
from typing import Any

import psycopg
from psycopg.abc import AdaptContext, PQGenConn
from psycopg.adapt import AdaptersMap
from psycopg.conninfo import (
    conninfo_attempts,
    conninfo_to_dict,
    make_conninfo,
    timeout_from_conninfo,
)

from database.backend.outages import cause_of

# Seconds that a host has to answer until the next one is tried too: the value of RFC 8305. To open
# a connection takes 5 ms on a fast network.
PATIENCE = 0.25
# Seconds, if the order of the URL says which of several fitting hosts is preferred: that one should
# win even if it is slow.
PATIENCE_WITH_ORDER = 1.0
# Seconds. While a host does not answer, the hosts that have refused are asked again as often as
# this: one of them may become the primary meanwhile.
ASK_AGAIN = 0.5
SILENT_FOR = 10.0  # seconds for which a host that did not answer in time is tried last

# With one of these values, a host that fits is as good as another one. Without a value, the order
# of the URL decides: the second host may be a standby.
_UNORDERED = ("read-write", "read-only", "primary", "standby")
# Keywords of psycopg's Connection.connect that are no parameters of libpq.
_OPTIONS = ("autocommit", "prepare_threshold", "context", "row_factory", "cursor_factory")

type Attempt = dict[str, Any]  # libpq's parameters of a connection to one address
type Host = tuple[Any, Any, Any]  # its name, port and address


class KnownHosts:
    """What this process knows about the hosts of a database. Threads share it without a lock: each
    change is one step of the interpreter."""

    def __init__(self) -> None:
        self.last_fit: Host | None = None
        """The host of the last session, if it is tried first."""
        self._silent_until: dict[Host, float] = {}

    def in_order(self, attempts: list[Attempt], preferred: str | None) -> list[Attempt]:
        """The host that fitted last is the first one, and silent hosts are the last ones.

        For prefer-standby, psycopg makes two attempts for each host. The attempts with the
        `preferred` target_session_attrs come first.
        """
        now = monotonic()
        silent = {host for host, until in self._silent_until.copy().items() if now < until}

        def place(attempt: Attempt) -> tuple[bool, bool, bool]:
            host, target = _host(attempt), attempt.get("target_session_attrs")
            return host in silent, target != preferred, host != self.last_fit

        return sorted(attempts, key=place)

    def note_silent(self, host: Host) -> None:
        """Report that a host did not answer in time."""
        self._silent_until[host] = monotonic() + SILENT_FOR

    def note_answer(self, host: Host) -> None:
        """Report that a host gave a session that fits."""
        self._silent_until.pop(host, None)


known: dict[str, KnownHosts] = {}  # by the alias of the database


def forget_everything() -> None:
    """After a fork, in the child: it finds out by itself."""
    known.clear()


def split(conninfo: str, keywords: Mapping[str, Any]) -> tuple[list[Attempt], dict[str, Any]]:
    """The parameters for each address of each host, and psycopg's own options.

    Looks up the names of hosts. Raises psycopg.Error if there is no address.
    """
    options = {name: value for name, value in keywords.items() if name in _OPTIONS}
    params = {name: value for name, value in keywords.items() if name not in _OPTIONS}
    return conninfo_attempts(conninfo_to_dict(conninfo, **params)), options


def connect[C: psycopg.Connection[Any]](
    kind: type[C], alias: str, attempts: list[Attempt], options: Mapping[str, Any]
) -> C:
    """Connect to the first of several addresses that answers and fits.

    Takes at most the connect timeout, plus the patience for each further address. If all fail, the
    error names each address and its cause. Raises psycopg.Error.
    """
    balances = attempts[0].get("load_balance_hosts")  # if it is "random", psycopg has shuffled them
    target = attempts[0].get("target_session_attrs")
    is_unordered = target in _UNORDERED
    has_one_name = len({_host(attempt)[:2] for attempt in attempts}) == 1
    has_order = not (is_unordered or has_one_name or balances == "random")
    candidates = [*attempts]
    if is_unordered and not balances:
        random.shuffle(candidates)
    hosts = known.setdefault(alias, KnownHosts())
    race = _Race(kind, hosts, PATIENCE_WITH_ORDER if has_order else PATIENCE)
    connection = race.run(hosts.in_order(candidates, target))
    if connection is None:
        raise _error_of_all([(attempt, race.errors[id(attempt)]) for attempt in attempts])
    if is_unordered and balances != "random":
        hosts.last_fit = race.winner
    _set_options(connection, **options)
    return connection


@dataclass(slots=True, eq=False)
class _Runner[C]:
    """An attempt that waits for its server."""

    attempt: Attempt
    steps: PQGenConn[C]
    silent_at: float
    """When its host counts as silent (`time.monotonic()`)."""
    until: float
    """When it times out."""
    descriptor: int = -1
    """Of its socket."""


class _Race[C: psycopg.Connection[Any]]:
    """Tries addresses in one thread. The next attempt starts when one fails, or when the latest one
    was not answered within the patience. While an address does not answer, those that have refused
    are tried again, until the connect timeout."""

    def __init__(self, kind: type[C], hosts: KnownHosts, patience: float) -> None:
        self._kind = kind
        self._hosts = hosts
        self._patience = patience
        self._running: list[_Runner[C]] = []
        self._next_at = -inf  # when the next attempt starts
        self._connection: C | None = None
        self.winner: Host | None = None
        self.errors: dict[int, psycopg.Error] = {}
        """By id() of the attempt."""

    def run(self, attempts: list[Attempt]) -> C | None:
        """The first connection that fits; None if all attempts have failed."""
        waiting = deque(attempts)
        until = monotonic() + timeout_from_conninfo(attempts[0])
        again_at = monotonic() + ASK_AGAIN
        with DefaultSelector() as self._selector:
            try:
                while self._connection is None and (waiting or self._running):
                    now = monotonic()
                    if not waiting and now >= again_at:
                        waiting.extend(filter(self._may_fit_now, attempts))
                        again_at = now + ASK_AGAIN if now + ASK_AGAIN < until else inf
                    if waiting and now >= self._next_at:
                        attempt = waiting.popleft()
                        is_again = id(attempt) in self.errors
                        self._start(attempt, until if is_again else inf)
                    else:
                        self._wait(self._next_at if waiting else again_at)
            finally:
                for runner in self._running:
                    runner.steps.close()  # and with it the socket
        return self._connection

    def _may_fit_now(self, attempt: Attempt) -> bool:
        """Whether the address has refused, but not because of the account."""
        error = self.errors.get(id(attempt))
        return error is not None and cause_of(error) not in ("authentication", "timeout")

    def _start(self, attempt: Attempt, until: float) -> None:
        now = monotonic()
        for runner in self._running:
            if now >= runner.silent_at:
                self._hosts.note_silent(_host(runner.attempt))
        # psycopg's public methods wait for the server. This one is private (psycopg 3.3.9).
        steps = self._kind._connect_gen(make_conninfo("", **attempt))
        self._next_at = now + self._patience
        until = min(until, now + timeout_from_conninfo(attempt))
        runner = _Runner(attempt, steps, self._next_at, until)
        self._running.append(runner)
        self._advance(runner, None)

    def _wait(self, until: float) -> None:
        """Wait for an answer or a timeout, at most until `until`."""
        until = min([until, *(runner.until for runner in self._running)])
        for key, ready in self._selector.select(max(0.0, until - monotonic())):
            self._selector.unregister(key.fd)
            self._advance(key.data, ready)
            if self._connection is not None:
                return
        for runner in self._running[:]:
            if monotonic() >= runner.until:
                self._time_out(runner)

    def _advance(self, runner: _Runner[C], ready: Any) -> None:
        """Let psycopg take the next step of the login."""
        try:
            runner.descriptor, event = runner.steps.send(ready)
        except StopIteration as end:
            self._running.remove(runner)
            self._connection, self.winner = end.value, _host(runner.attempt)
            self._hosts.note_answer(self.winner)
        except psycopg.Error as error:
            self._fail(runner, error)
        else:
            self._selector.register(runner.descriptor, event, runner)

    def _time_out(self, runner: _Runner[C]) -> None:
        self._hosts.note_silent(_host(runner.attempt))
        self._selector.unregister(runner.descriptor)
        runner.steps.close()
        self._fail(runner, psycopg.errors.ConnectionTimeout("connection timeout expired"))

    def _fail(self, runner: _Runner[C], error: psycopg.Error) -> None:
        self._running.remove(runner)
        self.errors[id(runner.attempt)] = error
        self._next_at = -inf


def _host(attempt: Attempt) -> Host:
    return attempt.get("host"), attempt.get("port"), attempt.get("hostaddr")


def _error_of_all(failures: list[tuple[Attempt, psycopg.Error]]) -> psycopg.Error:
    """The error that psycopg would raise if it had tried the attempts in this order."""
    last = failures[-1][1]
    lines = [str(last), "Multiple connection attempts failed. All failures were:"]
    for attempt, error in failures:
        host, port, address = _host(attempt)
        lines.append(f"- host: {host!r}, port: {port!r}, hostaddr: {address!r}: {error}")
    return type(last)("\n".join(lines), pgconn=last.pgconn)


def _set_options(
    connection: psycopg.Connection[Any],
    *,
    autocommit: bool = False,
    prepare_threshold: int | None = 5,
    context: AdaptContext | None = None,
    row_factory: Any = None,
    cursor_factory: Any = None,
) -> None:
    """What psycopg's Connection.connect does with its keywords (psycopg 3.3.9)."""
    connection._autocommit = autocommit
    connection.prepare_threshold = prepare_threshold
    if context:
        connection._adapters = AdaptersMap(context.adapters)
    if row_factory:
        connection.row_factory = row_factory
    if cursor_factory:
        connection.cursor_factory = cursor_factory
