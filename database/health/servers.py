"""Whether a database whose reads use all its servers can be used: its watchers know, so that no
check waits for a server."""

from dataclasses import asdict
from typing import Any

from database.backend import DatabaseWrapper, Monitor
from database.health.probes import TIMEOUT
from database.metrics import pool_figures


def monitor_of(wrapper: DatabaseWrapper) -> Monitor | None:
    """What is known about the servers; None if reads use the same pool as writes.

    Takes up to a second in a process that has just started, and no time later.
    """
    replicas = wrapper.replicas
    if replicas is None:
        return None
    replicas.open()
    replicas.monitor.wait_for_first_look(TIMEOUT)
    return replicas.monitor


def reads_error(monitor: Monitor) -> str | None:
    """Why no server can serve a read; None if one can."""
    if monitor.readable:
        return None
    answering = sum(state.answers for state in monitor.states())
    if not answering:
        return "no server answers"
    return (
        f"there is no primary, and of the {answering} servers that answer none is known to have"
        " every acknowledged write"
    )


def reads_are_full(monitor: Monitor) -> bool:
    """Whether every server that a read could use would refuse it."""
    return all(node.pool.is_full for node in monitor.readable)


def details(monitor: Monitor) -> dict[str, Any]:
    """The state of each server, and of the position of the acknowledged writes."""
    pools = {node.name: node.pool for node in monitor.nodes}
    servers = {}
    for state in monitor.states():
        pool = pools[state.name]
        servers[state.name] = asdict(state) | {"pool": pool_figures(pool)}
        del servers[state.name]["name"]
        if not state.answers and pool.setup.outage.cause:
            servers[state.name]["error"] = pool.setup.outage.cause
    positions: dict[str, Any] = {
        "answers": not monitor.positions_error,
        "lease": monitor.has_lease,
        "position": str(monitor.position or ""),
    }
    if monitor.positions_error:
        positions["error"] = monitor.positions_error
    return {"servers": servers, "positions": positions}
