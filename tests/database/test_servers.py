"""The servers of the tests leave no shared memory: the kernel has room for a few thousand."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.database.servers import PostgreSQL


def leave_running(_: PostgreSQL) -> None:
    pass


def stop(server: PostgreSQL) -> None:
    server.stop()


def freeze(server: PostgreSQL) -> None:
    server.freeze()


def kill(server: PostgreSQL) -> None:
    server.kill()


def kill_a_standby(server: PostgreSQL) -> None:
    (server.folder / "data/standby.signal").touch()
    server.kill()


def kill_and_start(server: PostgreSQL) -> None:
    server.kill()
    server.start()


ENDS = [leave_running, stop, freeze, kill, kill_a_standby, kill_and_start]


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
def test_a_server_leaves_no_shared_memory(end: Callable[[PostgreSQL], None]) -> None:
    with PostgreSQL() as server:
        segment, files = memory_of(server)
        assert segment in segments()
        assert files
        end(server)

    assert segment not in segments()
    assert not [file for file in files if file.exists()]


def memory_of(server: PostgreSQL) -> tuple[str, set[Path]]:
    """The id of the server's System V segment, and the files of its POSIX segments."""
    lines = (server.folder / "data/postmaster.pid").read_text().splitlines()
    pid, segment = lines[0], lines[6].split()[1]
    maps = Path(f"/proc/{pid}/maps").read_text().split()
    return segment, {Path(word) for word in maps if word.startswith("/dev/shm/")}  # noqa: S108 -- the kernel's


def segments() -> set[str]:
    lines = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
    return {line.split()[1] for line in lines}
