"""What each process of the server reports about its pool, once a second.

A process writes its report into the folder that the processes of the server share (`rundir`). So
the pool page (`processes.py`) shows all of them, and needs neither the database nor an
answer of another process. The reports are JSON Lines: the first line has the state and the events
of the process, the others have the figures of one second each.
"""

import json
import os
import time
from dataclasses import asdict
from typing import Any

from database import rundir
from database.backend import longest_held, pool_states, server_states, session_ids
from database.background import BackgroundThread, survive
from database.metrics import History, outages, slow_statements

INTERVAL = 1.0  # seconds between two reports
MAX_SIZE = 100_000  # bytes of a report; the oldest seconds are left out beyond it
KEPT = 10  # reports of ended processes that stay in the folder


class Reporter:
    """Starts its thread at the first `ensure_running`, also in a forked process."""

    def __init__(self) -> None:
        self._thread = BackgroundThread("database-report", self._run)
        self.ensure_running = self._thread.ensure_running
        self._history = History()
        self._reset()
        os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        self._started_at = time.time()
        self._has_ended = False

    def _run(self) -> None:
        survive(_delete_old_reports)
        while not self._has_ended:
            survive(self.write)
            time.sleep(INTERVAL)

    def write(self) -> None:
        """Add a second to the history, and write the report if there is a folder."""
        self._history.add(pool_states(), time.time())
        if rundir.exists():
            rundir.write(name_of(os.getpid()), self.report())

    def report(self) -> bytes:
        head = json.dumps(self._head(), separators=(",", ":")).encode()
        lines = [head, *self._history.lines.copy()]
        while sum(map(len, lines)) + len(lines) > MAX_SIZE and len(lines) > 1:
            del lines[1 : len(lines) // 4 + 2]
        return b"\n".join(lines)

    def end(self) -> None:
        """Report that this process stops normally. Call it once, when it stops."""
        self._has_ended = True
        if rundir.exists():
            survive(rundir.write, name_of(os.getpid()), self.report())

    def _head(self) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "started_at": round(self._started_at, 1),
            "has_ended": self._has_ended,
            "sessions": session_ids(),
            "servers": {alias: asdict(state) for alias, state in server_states().items()},
            "held": [asdict(each) for each in longest_held()],
            "slow": [asdict(each) for each in slow_statements.list()],
            "outages": [asdict(each) for each in list(outages)],
        }


def name_of(pid: int) -> str:
    return rundir.REPORTS.replace("*", str(pid))


def _delete_old_reports() -> None:
    """Keep the newest reports: those of running processes are never more than a second old."""
    if not rundir.exists():
        return
    stale = [
        file
        for file in rundir.read(rundir.REPORTS)
        if time.time() - file.written_at > 60 * INTERVAL
    ]
    stale.sort(key=lambda file: file.written_at)
    for file in stale[:-KEPT]:
        rundir.delete(file.name)


reporter = Reporter()
