"""What this process does with its connections at this moment."""

import os
import sysconfig
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from time import monotonic

import psycopg

from database.backend.base import DatabaseWrapper
from database.backend.checkouts import Checkout, checked_out
from database.backend.connection import open_connections
from database.backend.connections import database_wrappers
from database.backend.monitor import ServerState
from database.backend.nodes import Node
from database.backend.pool import Pool
from database.backend.running import running_requests
from database.metrics import PoolState, pool_figures

MAX_HELD = 10  # connections that are described
HELD_FOR = 0.1  # seconds; shorter use is normal, and not worth a description
MAX_SESSIONS = 200
LINE_LENGTH = 200  # characters

# Code in these folders is not the application's.
_LIBRARIES = tuple(
    os.path.join(folder, "")
    for folder in {
        str(Path(__file__).parents[1]),  # the package `database`
        *(sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib", "platstdlib")),
    }
)


@dataclass(slots=True)
class HeldConnection:
    database: str
    seconds: float
    lines: list[str]
    """The line of the application that took the connection, such as "articles/views.py:12 in get",
    and the line of the view or command that led to it, if that is another one."""
    thread: str
    route: str
    """The request; "" outside of a request."""


def pool_states() -> dict[str, PoolState]:
    """The connections of this process, by the alias of the database. A pool of reads has the alias
    "default@host:port"."""
    wrappers = database_wrappers()
    states = {alias: _state(wrapper) for alias, wrapper in wrappers.items()}
    return states | {node.pool.alias: _state_of_pool(node.pool) for node in _nodes(wrappers)}


def server_states() -> dict[str, ServerState]:
    """The servers that reads use, by the alias of their pool."""
    return {
        node.pool.alias: state
        for wrapper in database_wrappers().values()
        if wrapper.replicas
        for node, state in zip(
            wrapper.replicas.nodes, wrapper.replicas.monitor.states(), strict=True
        )
    }


def longest_held() -> list[HeldConnection]:
    """The connections that are checked out for longer than HELD_FOR, the longest first."""
    now = monotonic()
    checkouts = [
        each
        for each in list(checked_out.values())
        if now - each.since > HELD_FOR and (each.pool or _is_running(each))
    ]
    checkouts.sort(key=lambda checkout: checkout.since)
    return [_describe(checkout, now) for checkout in checkouts[:MAX_HELD]]


def session_ids() -> list[int]:
    """The process ids that the server has given to the open connections of this process. Those of
    standbys are left out: on the primary, they may belong to other clients."""
    for _ in range(3):
        with suppress(RuntimeError):  # another thread has opened a connection meanwhile
            return [*_session_ids()][:MAX_SESSIONS]
    return []


def _session_ids() -> Iterator[int]:
    nodes = _nodes(database_wrappers())
    elsewhere = {node.pool.alias for node in nodes if not node.is_primary}
    for connection in open_connections:
        if connection.alias in elsewhere:
            continue
        with suppress(psycopg.OperationalError):  # it was closed meanwhile
            yield connection.pgconn.backend_pid


def _nodes(wrappers: dict[str, DatabaseWrapper]) -> list[Node]:
    return [node for each in wrappers.values() if each.replicas for node in each.replicas.nodes]


def _state_of_pool(pool: Pool) -> PoolState:
    figures = pool_figures(pool)
    return PoolState(*(figures[name] for name in PoolState._fields))


def _state(wrapper: DatabaseWrapper) -> PoolState:
    if wrapper.pool:
        return _state_of_pool(wrapper.pool)
    ours = [each for each in list(checked_out.values()) if each.connection.alias == wrapper.alias]
    in_use = sum(map(_is_running, ours))
    return PoolState(in_use, idle=len(ours) - in_use, waiting=0, max=0)


def _is_running(checkout: Checkout) -> bool:
    """Whether its thread runs a request. Without a pool, a thread keeps its connection between two
    requests."""
    return checkout.thread.ident in running_requests


def _describe(checkout: Checkout, now: float) -> HeldConnection:
    request = running_requests.get(checkout.thread.ident or 0)
    return HeldConnection(
        database=checkout.connection.alias,
        seconds=round(now - checkout.since, 1),
        lines=_application_lines(checkout),
        thread=checkout.thread.name[:LINE_LENGTH],
        route=request.route()[:LINE_LENGTH] if request else "",
    )


def _application_lines(checkout: Checkout) -> list[str]:
    """The innermost and the outermost line of the application. If the stored frames contain only
    libraries, the outermost of them."""
    places = checkout.places()
    ours = [place for place in places if not _is_library(place[0])] or places[-1:]
    lines = [f"{_short(file)}:{line} in {function}" for file, line, function in ours]
    return [line[-LINE_LENGTH:] for line in dict.fromkeys([lines[0], lines[-1]])]


def _is_library(file: str) -> bool:
    # "<": a module without a file. The folder of the packages may be a link.
    return file.startswith(("<", *_LIBRARIES)) or "/site-packages/" in file


@lru_cache(maxsize=1_000)
def _short(file: str) -> str:
    """The path below its nearest folder of the import path, such as "articles/views.py"."""
    path = Path(file)
    for folder in path.parents:
        if not (folder / "__init__.py").exists():
            return str(path.relative_to(folder))
    return file
