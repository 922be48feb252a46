"""Add up the metrics of all processes of a server."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from prometheus_client import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector


class AllProcesses(Collector):
    """The counters of all processes that write to this folder, and the gauges of running ones."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        _remove_gauges_of_dead_processes(self._folder)
        # MultiProcessCollector.collect() raises for a file that a process has just created.
        files = [str(file) for file in self._folder.glob("*.db") if _size(file)]
        metrics: Iterable[Metric] = MultiProcessCollector.merge(files)
        return metrics


def _size(file: Path) -> int:
    with suppress(FileNotFoundError):  # another process has removed the file
        return file.stat().st_size
    return 0


def _remove_gauges_of_dead_processes(folder: Path) -> None:
    """Remove the gauges of processes that have ended; their counters stay.

    A dead process counts as running while another process has its pid.
    """
    for file in folder.glob("gauge_live*.db"):
        pid = int(file.stem.rpartition("_")[2])
        if not is_running(pid):
            with suppress(FileNotFoundError):  # another process is removing them
                mark_process_dead(pid, folder)


def is_running(pid: int) -> bool:
    """Whether a process has this id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # the process of another user
        return True
    return True
