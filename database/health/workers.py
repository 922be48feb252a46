"""What one process of this machine's server reports about its pools."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from database import rundir
from database.backend import ServerState
from database.health.report import INTERVAL
from database.metrics import Second, is_running, parse_second

SILENT_AFTER = 5 * INTERVAL  # seconds without a report
MALFORMED = (ValueError, TypeError, KeyError, AttributeError, RecursionError)


@dataclass
class Worker:
    """A process of the server, as its report says."""

    pid: int
    started_at: float
    written_at: float
    has_ended: bool
    """Whether it stopped normally. False while it runs, and if it was killed."""
    sessions: list[int]
    held: list[dict[str, Any]]
    slow: list[dict[str, Any]]
    outages: list[dict[str, Any]]
    servers: dict[str, ServerState]
    """The servers that reads use, by the alias of their pool."""
    seconds: dict[int, dict[str, Second]]
    """The databases by their alias, by the time in seconds since 1970."""
    state: str = "running"
    """"running", "silent" (it runs, but has written nothing for SILENT_AFTER) or "ended"."""

    def at(self, second: int) -> dict[str, Second]:
        """The figures at this time: a process that is late may have none of exactly this second."""
        figures = self.seconds.get(second)
        if figures is None and (self.state != "ended" or second < max(self.seconds, default=0)):
            figures = self.seconds.get(second - 1)
        return figures or {}

    @property
    def now(self) -> dict[str, Second]:
        """The newest figures; none after its end."""
        return self.seconds[max(self.seconds)] if self.seconds and self.state != "ended" else {}


def parse(content: bytes, written_at: float) -> Worker | None:
    """The process that wrote this report; None if it is malformed, also in part."""
    with suppress(*MALFORMED):
        head, *lines = content.split(b"\n")
        fields = json.loads(head)
        return Worker(
            pid=int(fields["pid"]),
            started_at=float(fields["started_at"]),
            written_at=written_at,
            has_ended=bool(fields["has_ended"]),
            sessions=[*map(int, fields["sessions"])],
            held=[{**each, "pid": int(fields["pid"])} for each in fields["held"]],
            slow=[{**each} for each in fields["slow"]],
            outages=[{**each} for each in fields["outages"]],
            servers={alias: ServerState(**each) for alias, each in fields["servers"].items()},
            seconds=dict(parse_second(line) for line in json.loads(b"[%s]" % b",".join(lines))),
        )
    return None


def read_workers(now: float) -> Iterator[Worker]:
    for file in rundir.read(rundir.REPORTS):
        worker = parse(file.content, file.written_at)
        if worker is None:
            continue
        if worker.has_ended or not is_running(worker.pid):
            worker.state = "ended"
        elif now - worker.written_at > SILENT_AFTER:
            worker.state = "silent"
        yield worker
