"""The figures of all processes of a server, read from the files that they share."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from prometheus_client import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector


class AllProcesses(Collector):
    """What the processes that share this folder have counted, and what the living ones show."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        _forget_the_dead(self._folder)
        # Not prometheus_client's own way to find the files, which fails for one that a process
        # has opened this moment and not yet filled.
        files = [str(file) for file in self._folder.glob("*.db") if _size(file)]
        figures: Iterable[Metric] = MultiProcessCollector.merge(files)
        return figures


def _size(file: Path) -> int:
    with suppress(FileNotFoundError):  # another process has forgotten a dead one
        return file.stat().st_size
    return 0


def _forget_the_dead(folder: Path) -> None:
    """Remove the gauges of processes that have ended, however they did; what they have
    counted stays. One whose number another process has by now is taken for alive."""
    for file in folder.glob("gauge_live*.db"):
        pid = int(file.stem.rpartition("_")[2])
        if not _lives(pid):
            with suppress(FileNotFoundError):  # another process is asked at the same time
                mark_process_dead(pid, folder)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody's: the number is in use
        return True
    return True
