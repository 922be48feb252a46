"""The parent process of the embedded `postgres`, a script that `database.embedded` runs.

It starts the server, waits until the last process that uses it has ended, and stops the server. It
runs without site-packages and without this project on its path, so it imports only the standard
library. Therefore it is one file.
"""

import fcntl
import hashlib
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
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

PORT = 5432  # part of the socket's name only: the server opens no TCP port

START_SECONDS = 60.0
_STOP_SECONDS = 10.0
_RETRY_SECONDS = 1.0
_SOCKET_BYTES = 103  # the longest path of a unix socket on macOS; Linux allows 107
READY = "ready"
# "trust" needs no password: only the owner of the folder can open the socket.
_INITDB = [
    "--auth=trust",
    "--encoding=UTF8",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--no-instructions",
]
_ENVIRONMENT = {"LC_ALL": "C"}  # without this process's variables: PGPORT would change the server
_SETTINGS = {
    "listen_addresses": "",
    "max_connections": 200,
    "timezone": "UTC",
    "log_timezone": "UTC",
    # A commit does not wait for the disk. A crash may lose the last commits, but corrupts nothing;
    # with fsync off it could.
    "synchronous_commit": "off",
}


class EmbeddedError(Exception):
    """The server cannot be started. The message is for a person, with the end of the log."""


def open_lock(path: Path) -> int:
    # O_NOFOLLOW: in a folder of the user `nobody`, a link could make root open any file.
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def try_lock(lock: int, operation: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(lock, operation | fcntl.LOCK_NB)
        return True
    return False


def wait_for_lock(lock: int, operation: int, deadline: float) -> None:
    if not wait_until(lambda: try_lock(lock, operation), deadline):
        raise EmbeddedError("Other processes are still starting or stopping PostgreSQL.")


def wait_until(done: Callable[[], bool], deadline: float) -> bool:
    """Wait until `done()` is true; return False if time.monotonic() passes the deadline."""
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def socket_of(folder: Path) -> Path | None:
    """The socket directory; None unless postmaster.pid, which pg_ctl reads too, says "ready"."""
    with suppress(FileNotFoundError):
        lines = os.fsdecode((folder / "data/postmaster.pid").read_bytes()).split("\n")
        return Path(lines[4]) if len(lines) > 7 and lines[7].strip() == "ready" else None
    return None


def log_tail(folder: Path) -> str:
    with suppress(OSError):
        lines = (folder / "log").read_text(errors="replace").splitlines()
        return "\n".join(["", *lines[-5:]])
    return ""


def _supervise(folder: Path, programs: Path, name: str) -> None:
    if os.fork():
        os._exit(0)  # init becomes the supervisor's parent, so no process must wait for it
    # In this order: the kernel closes the files of a killed process by descriptor number.
    supervisor, in_use = open_lock(folder / "supervisor"), open_lock(folder / "in-use")
    try:
        deadline = time.monotonic() + START_SECONDS
        wait_for_lock(supervisor, fcntl.LOCK_EX, deadline)
        server = _launch(folder, programs, name, deadline)
    except (EmbeddedError, OSError) as error:
        os.close(supervisor)
        _report(f"PostgreSQL cannot be started: {error}")
        return
    signal.signal(signal.SIGTERM, lambda *_: server.send_signal(signal.SIGINT))
    unused = (in_use, server.pid, folder / "data")
    threading.Thread(target=_stop_when_unused, args=unused, daemon=True).start()
    _report(READY)
    server.wait()
    with suppress(OSError):
        _socket_folder(folder).rmdir()
    os.close(supervisor)


def _report(message: str) -> None:
    """Unlock `starting`, and answer `_spawn_supervisor`, which reads to the end of the pipe."""
    fcntl.flock(0, fcntl.LOCK_UN)
    with suppress(BrokenPipeError):
        os.write(1, os.fsencode(message))
    os.closerange(0, 2)


def _stop_when_unused(in_use: int, server: int, data: Path) -> None:
    while True:
        with suppress(OSError):  # no memory for a lock or a process; try again
            fcntl.flock(in_use, fcntl.LOCK_EX)
            _stop(server, data)
            return
        time.sleep(_RETRY_SECONDS)


def _stop(pid: int, data: Path) -> None:
    """Stop the server: with a checkpoint, after 10 s without one, after 10 s more by SIGKILL."""
    for signal_number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        with suppress(ProcessLookupError):
            if _is_postmaster(pid, data):
                os.kill(pid, signal_number)
        if wait_until(lambda: not _is_postmaster(pid, data), time.monotonic() + _STOP_SECONDS):
            return


def _is_postmaster(pid: int, data: Path) -> bool:
    """Whether `pid` is the postmaster of `data`, and not another process that got its old pid."""
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


def _launch(folder: Path, programs: Path, name: str, deadline: float) -> subprocess.Popen[bytes]:
    data = folder / "data"
    _stop_orphan(data)
    if os.geteuid() == 0:
        _drop_privileges(folder)
        _require_access(folder, programs)
    _redirect_to_log(folder, deadline)
    if not data.exists():
        _initialise(data, programs, name, deadline)
    socket = _socket_folder(folder)
    _make_private_directory(socket)
    (socket / f".s.PGSQL.{PORT}.lock").unlink(missing_ok=True)  # a crash leaves a stale one
    settings = _SETTINGS | {"unix_socket_directories": socket}
    options = [f"--{name}={value}" for name, value in settings.items()]
    server = subprocess.Popen(  # noqa: S603 - the wheel's program, and no shell
        [programs / "postgres", "-D", data, *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env=_ENVIRONMENT,
    )
    wait_until(lambda: server.poll() is not None or socket_of(folder) is not None, deadline)
    if server.poll() is None and socket_of(folder):
        return server
    server.kill()
    server.wait()
    raise EmbeddedError(f"it ended, or was not ready in time.{log_tail(folder)}")


def _redirect_to_log(folder: Path, deadline: float) -> None:
    """Redirect stderr of this process and its children to the log, and lock the log.

    Children inherit the lock. So this waits for children of a killed supervisor or postmaster:
    an initdb that still writes, or a backend that still runs a query.
    """
    log = open_lock(folder / "log")
    wait_for_lock(log, fcntl.LOCK_EX, deadline)
    os.ftruncate(log, 0)
    os.dup2(log, 2)


def _stop_orphan(data: Path) -> None:
    """Stop a server whose supervisor was killed, and remove its pid file."""
    file = data / "postmaster.pid"
    if file.exists():
        pid = file.read_bytes().split(b"\n")[0]
        if pid.isdigit():  # a crash of the machine may leave an empty file
            _stop(int(pid), data)
        # postgres does not start while any process has the pid in this file.
        file.unlink(missing_ok=True)


def _initialise(data: Path, programs: Path, name: str, deadline: float) -> None:
    """Create the cluster beside `data`, and rename it at the end, so that none is incomplete."""
    new = data.with_name("data.new")
    shutil.rmtree(new, ignore_errors=True)
    single = ["--single", "-D", str(new), "--exit_on_error=on", "postgres"]
    for command, statement in (
        ([f"{programs}/initdb", "-D", str(new), f"--username={name}", *_INITDB], ""),
        ([f"{programs}/postgres", *single], f'CREATE DATABASE "{name}"'),
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
            raise EmbeddedError(f"initdb failed.{log_tail(data.parent)}") from error
    new.rename(data)


def _socket_folder(folder: Path) -> Path:
    path = folder / "socket"
    # A comma separates hosts in libpq.
    if len(os.fsencode(path / f".s.PGSQL.{PORT}")) <= _SOCKET_BYTES and "," not in str(path):
        return path
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return Path(tempfile.gettempdir(), f"postgres-{os.geteuid()}-{digest}")


def _make_private_directory(path: Path) -> None:
    """Make a directory that only this user can write: others could put their own socket there."""
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    try:
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        mode = stat.S_IMODE(os.fstat(directory).st_mode)
        # fchmod fails for other users' directories. st_uid is no proof of ownership: in a user
        # namespace, this user and all unmapped users are shown as `nobody`.
        os.fchmod(directory, mode)
        os.close(directory)
    except OSError as error:
        raise EmbeddedError(f"{path} is not a directory of this user; remove it.") from error
    if mode != 0o700:
        raise EmbeddedError(f"{path} is open to other users; remove it.")


def _drop_privileges(folder: Path) -> None:
    """Become an unprivileged user, because postgres refuses to run as root.

    In a user namespace this process is `nobody` but still owns root's files, so that no permission
    has to change. Where the kernel refuses one (a seccomp filter, a chroot, macOS), the process
    becomes the real `nobody` and the folder changes its owner.
    """
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise EmbeddedError("it cannot run as root, and there is no user `nobody`.") from None
    probe = os.fork()  # in a child: a process cannot leave a namespace that it has partly entered
    if probe == 0:
        with suppress(OSError):
            _enter_namespace(nobody)
            os._exit(0)
        os._exit(1)
    if os.waitpid(probe, 0)[1] == 0:
        _change_owner(folder, 0, os.getegid())
        _enter_namespace(nobody)
    else:
        _change_owner(folder, nobody.pw_uid, nobody.pw_gid)
        os.setgroups([])
        os.setgid(nobody.pw_gid)
        os.setuid(nobody.pw_uid)


def _enter_namespace(user: pwd.struct_passwd) -> None:
    if sys.platform != "linux":
        raise OSError("there are no user namespaces")
    gid = os.getegid()
    os.unshare(os.CLONE_NEWUSER)
    Path("/proc/self/setgroups").write_text(
        "deny"
    )  # the kernel requires it before gid_map is written
    Path("/proc/self/uid_map").write_text(f"{user.pw_uid} 0 1")
    Path("/proc/self/gid_map").write_text(f"{user.pw_gid} {gid} 1")


def _change_owner(folder: Path, uid: int, gid: int) -> None:
    # By descriptor and without following links: the current owner may change the tree meanwhile.
    for _, folders, files, directory in os.fwalk(folder):
        os.fchown(directory, uid, gid)
        for name in folders + files:
            os.chown(name, uid, gid, dir_fd=directory, follow_symlinks=False)


def _require_access(*paths: Path) -> None:
    for path in paths:
        for directory in (*reversed(path.parents), path):
            if not os.access(directory, os.X_OK):
                raise EmbeddedError(
                    f"it cannot run as root, and other users cannot access {directory}; use an "
                    "ordinary user, move the project, or set DATABASE_URL."
                )


if __name__ == "__main__":
    _supervise(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
