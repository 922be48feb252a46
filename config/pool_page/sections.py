"""The sections of the page, as HTML. The page and its refresh show the same ones."""

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.template.defaultfilters import filesizeformat
from django.template.loader import render_to_string

from config.pool_page.charts import charts
from database import rundir
from database.health import Activity, Capacity, Machine, Quantile, Restart, Server, Worker

SECTIONS = (
    "state",
    "servers",
    "charts",
    "waits",
    "held",
    "slow",
    "outages",
    "restarts",
    "processes",
    "clients",
)

LATE = 2.0  # seconds


@dataclass
class Notice:
    level: str
    """"error", "warning" or "good"."""
    text: str

    @property
    def word(self) -> str:
        return {"error": "Problem", "warning": "Warning", "good": "Good"}[self.level]

    @property
    def icon(self) -> str:
        return {"error": "✕", "warning": "!", "good": "✓"}[self.level]


def sections(machine: Machine, activity: Activity, *, unchecked: str = "") -> dict[str, str]:
    """The HTML of each section. `unchecked` says why the login of the reader was not checked."""
    context = {
        "machine": machine,
        "time": moment(machine.now),
        "notices": [*_notices(machine, activity, unchecked)],
        "servers": [_server(each) for each in machine.servers],
        "databases": [(database, charts(database)) for database in machine.databases],
        "several": len(machine.databases) > 1,
        "waits": [
            (database, [_wait(each) for each in database.waits]) for database in machine.databases
        ],
        "held": [{**each, "seconds": duration(each["seconds"])} for each in machine.held],
        "slow": [
            {
                **each,
                "last": milliseconds(each["last"]),
                "longest": milliseconds(each["longest"]),
                "last_at": moment(each["last_at"]),
            }
            for each in machine.slow
        ],
        "outages": [_outage(each, machine) for each in machine.outages],
        "restarts": [_restart(each) for each in machine.restarts],
        "processes": [_process(each, machine) for each in machine.workers],
        "activity": activity,
        "clients": [*_clients(machine, activity)],
    }
    return {name: render_to_string(f"pool_page/sections/{name}.html", context) for name in SECTIONS}


def _notices(machine: Machine, activity: Activity, unchecked: str) -> Iterator[Notice]:
    found = False
    for notice in _problems(machine, activity, unchecked):
        found = True
        yield notice
    if not found:
        yield Notice("good", "No problem is known.")


def _problems(machine: Machine, activity: Activity, unchecked: str) -> Iterator[Notice]:
    if activity.error:
        yield Notice("error", f"The database does not answer: {activity.error}")
    if unchecked:
        yield Notice("warning", unchecked)
    if activity.capacity:
        yield from _shortage(activity.capacity, activity.others)
    for database in machine.databases:
        now = database.now
        if database.has_pool and now.in_use >= now.max and now.waiting:
            name = f' of the database "{database.alias}"' if len(machine.databases) > 1 else ""
            wait = "1 request waits" if now.waiting == 1 else f"{now.waiting} requests wait"
            text = f"All {now.max} connections{name} are in use, and {wait}."
            yield Notice("warning", text)
    yield from _problems_of_servers(machine.servers)
    for worker in machine.workers:
        if worker.state == "silent":
            ago = duration(machine.now - worker.written_at)
            text = (
                f"The process {worker.pid} has written no report for {ago}: it is stopped or hangs."
            )
            yield Notice("warning", text)
    if rundir.is_draining():
        yield Notice("warning", "The server is about to stop. Soon, it accepts no new connections.")


def _problems_of_servers(servers: list[Server]) -> Iterator[Notice]:
    if servers and not any(each.state.role == "primary" for each in servers):
        yield Notice("error", "There is no primary. Reads work, and writes get 503.")
    for each in servers:
        if each.answers < each.processes:
            text = f"The server {each.state.name} does not answer; reads use the other servers."
            yield Notice("warning", text)
        elif each.state.lag_seconds > LATE:
            behind = duration(each.state.lag_seconds)
            yield Notice("warning", f"The server {each.state.name} is {behind} behind the primary.")


def _server(server: Server) -> dict[str, Any]:
    state = server.state
    lag = f"{duration(state.lag_seconds)}, {filesizeformat(state.lag_bytes)}"
    return {
        "name": state.name,
        "role": state.role,
        "answers": f"{server.answers} of {server.processes} processes",
        "position": state.position,
        "lag": lag if state.lag_seconds else "",
    }


def _shortage(capacity: Capacity, others: int) -> Iterator[Notice]:
    """Whether PostgreSQL allows all connections, beside those that other clients have now."""
    if capacity.shortage:
        yield Notice("error", capacity.shortage)
    elif others + capacity.needed > capacity.of_server:
        text = (
            f"Other clients have {others} connections now. The processes of this machine may open"
            f" {capacity.needed}, and the server allows {capacity.of_server} in all."
        )
        yield Notice("warning", text)


def _wait(quantile: Quantile) -> dict[str, Any]:
    if quantile.bounds is None:
        text = "no connection was taken"
    else:
        lower, upper = quantile.bounds
        if upper is None:
            text = f"more than {milliseconds(lower)}"
        elif lower:
            text = f"{milliseconds(lower)} to {milliseconds(upper)}"
        else:
            text = f"less than {milliseconds(upper)}"
    return {
        "window": f"{quantile.seconds // 60} min",
        "name": f"p{quantile.quantile * 100:g}",
        "text": text,
        "taken": quantile.taken,
    }


def _outage(outage: dict[str, Any], machine: Machine) -> dict[str, Any]:
    ended_at = outage["ended_at"]
    return {
        **outage,
        "began_at": moment(outage["began_at"]),
        "length": duration((ended_at or machine.now) - outage["began_at"]),
        "is_over": ended_at is not None,
    }


def _restart(restart: Restart) -> dict[str, Any]:
    lived = restart.started_at and restart.at - restart.started_at
    return {
        "pid": restart.pid,
        "at": moment(restart.at),
        "status": _status(restart),
        "lived": duration(lived) if lived else "unknown",
    }


def _status(restart: Restart) -> str:
    status = restart.status
    if status is None:
        return "stopped normally" if restart.stopped_normally else "unknown"
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"


def _process(worker: Worker, machine: Machine) -> dict[str, Any]:
    return {
        "pid": worker.pid,
        "state": worker.state,
        "started_at": moment(worker.started_at),
        "written": duration(max(0.0, machine.now - worker.written_at)),
        "databases": [(alias, second.state) for alias, second in worker.now.items()],
    }


def _clients(machine: Machine, activity: Activity) -> Iterator[dict[str, Any]]:
    owners = {session: worker.pid for worker in machine.running for session in worker.sessions}
    for client in activity.clients:
        yield {
            "client": client,
            "owner": owners.get(client.pid),
            "state_for": _optional(client.state_seconds),
            "transaction": _optional(client.transaction_seconds),
        }


def _optional(seconds: float | None) -> str:
    return "" if seconds is None else duration(seconds)


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.3g} s"


def duration(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
    if seconds < 86_400:
        return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:.0f} min"
    return f"{seconds // 86_400:.0f} d {seconds % 86_400 // 3600:.0f} h"
