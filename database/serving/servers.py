"""The checks of a database whose reads use all its servers: each server, its replication, and the
Redis that has the position of the acknowledged writes."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import NamedTuple

import psycopg

from database.backend import Connection, DatabaseWrapper, server_addresses
from database.positions import PositionsUnavailable
from database.serving.startup import (
    RETRY_INTERVAL,
    ConnectError,
    Problem,
    connect,
    unreachable,
    warning,
)

ANSWER_TIMEOUT = 2.0  # seconds
# With other values, the pool of writes may connect to a standby.
_OF_PRIMARY = ("read-write", "primary")
type Check = Callable[[Connection], Iterator[Problem]]


class Server(NamedTuple):
    name: str
    session: Connection | None
    is_primary: bool
    problem: Problem | None
    """Why there is no session."""


def connect_to_all(database: DatabaseWrapper, patience: float) -> list[Server]:
    """A session with each server that accepts one. Waits for `patience` seconds for the first."""
    until = monotonic() + patience
    addresses = [*server_addresses(database.settings_dict)]
    while True:
        with ThreadPoolExecutor(len(addresses)) as threads:
            servers = [*threads.map(lambda each: _connect(database, *each), addresses)]
        may_recover = any(
            server.problem and server.problem.exit_status == os.EX_UNAVAILABLE for server in servers
        )
        if any(server.session for server in servers) or not may_recover:
            return servers
        if monotonic() + RETRY_INTERVAL > until:
            return servers
        time.sleep(RETRY_INTERVAL)


def _connect(database: DatabaseWrapper, name: str, address: dict[str, str]) -> Server:
    try:
        session = connect(database, address=address)
    except ConnectError as error:
        return Server(name, None, False, error.problem)
    try:
        with session.bounded(database.limits.ping_timeout):
            ((is_standby,),) = session.execute("SELECT pg_is_in_recovery()")
    except psycopg.Error as error:
        session.close()
        problem = Problem(unreachable(error), os.EX_UNAVAILABLE)
        return Server(name, None, False, problem)
    return Server(name, session, not is_standby, None)


def best_of(servers: Sequence[Server]) -> Connection | None:
    """The session with the primary, else with a standby; None if there is no session."""
    sessions = sorted(servers, key=lambda server: not server.is_primary)
    return next((server.session for server in sessions if server.session), None)


def roles(database: DatabaseWrapper, servers: Sequence[Server]) -> Iterator[Problem]:
    for server in servers:
        if server.problem:
            text = server.problem.text
            yield warning(f"Reads do not use the server {server.name}. {text}")
    if not any(server.is_primary for server in servers):
        yield warning(
            "No server that answers is the primary. The server serves reads, and answers 503 to"
            " writes."
        )
    target = database.settings_dict["OPTIONS"].get("target_session_attrs", "any")
    if len(servers) > 1 and target not in _OF_PRIMARY:
        yield Problem(
            f"target_session_attrs is {target}, so writes may go to a standby; add"
            " target_session_attrs=read-write to DATABASE_URL."
        )


def others(servers: Sequence[Server], best: Connection, check: Check) -> Iterator[Problem]:
    """The problems of the other servers: each may become the primary."""
    for server in servers:
        session = server.session
        if session is None or session is best:
            continue
        try:
            with session.bounded(ANSWER_TIMEOUT):
                problems = [*check(session)]
        except psycopg.OperationalError as error:
            problems = [warning(unreachable(error))]
        for problem in problems:
            yield problem._replace(text=f"Server {server.name}: {problem.text}")


def replication(servers: Sequence[Server]) -> Iterator[Problem]:
    """Whether a failover may lose writes."""
    primary = next((server.session for server in servers if server.is_primary), None)
    if len(servers) < 2 or primary is None:
        return
    with primary.bounded(ANSWER_TIMEOUT):
        ((names, commit),) = primary.execute(
            "SELECT current_setting('synchronous_standby_names'),"
            " current_setting('synchronous_commit')"
        )
    if not names:
        setting = "synchronous_standby_names is empty"
    elif commit in ("off", "local"):
        setting = f"synchronous_commit is {commit}"
    else:
        return
    yield warning(
        f"{setting}, so a failover may lose acknowledged writes; turn on the synchronous mode of"
        " the cluster manager."
    )


def positions(database: DatabaseWrapper) -> Iterator[Problem]:
    replicas = database.replicas
    if replicas is None:
        return
    if replicas.shared is None:
        yield warning("CACHE_URL is not set, so all reads use the primary.")
        return
    try:
        policy = replicas.shared.eviction_policy()
    except PositionsUnavailable as error:
        yield warning(f"Redis (CACHE_URL) does not answer, so all reads use the primary: {error}")
        return
    if policy.startswith("allkeys-"):
        yield warning(
            f"Redis (CACHE_URL) may delete the position of the acknowledged writes, because its"
            f" maxmemory-policy is {policy}; reads then use the primary. Set noeviction."
        )
