"""The parent of an embedded `postgres`: a script, run by `database.embedded`.

It starts the server, waits until the last process that uses it is gone, and stops it. It is
run without site-packages and without this project on its path, so it imports nothing of theirs.
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

PORT = 5432  # only a number in the socket's name: there is no TCP port

START_SECONDS = 60.0
_STOP_SECONDS = 10.0
_RETRY_SECONDS = 1.0
_SOCKET_BYTES = 103  # the longest path of a unix socket on macOS; Linux allows 107
READY = "ready"
# "trust": a password is not needed, because only the folder's owner reaches the socket.
_INITDB = [
    "--auth=trust",
    "--encoding=UTF8",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--no-instructions",
]
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


class EmbeddedError(Exception):
    """No server is to be had: a sentence for a person, and the end of the log where that helps."""


def open_lock(path: Path) -> int:
    # No links: in a folder that was given to `nobody`, one could point root at any file.
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def try_lock(lock: int, operation: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(lock, operation | fcntl.LOCK_NB)
        return True
    return False


def wait_for_lock(lock: int, operation: int, deadline: float) -> None:
    if not until(lambda: try_lock(lock, operation), deadline):
        raise EmbeddedError("Other processes are still starting or stopping PostgreSQL.")


def until(done: Callable[[], bool], deadline: float) -> bool:
    """Wait; return False if time.monotonic() has reached the deadline before it is done."""
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def socket_of(folder: Path) -> Path | None:
    """Return the socket directory, once the file that pg_ctl reads as well says "ready"."""
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
        os._exit(0)  # the supervisor is nobody's child, so nobody has to wait for it
    # In this order, because a process that is killed closes its files by their number.
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
    """Answer `_spawn_supervisor`, which reads to the end of the pipe, and let go of its lock."""
    fcntl.flock(0, fcntl.LOCK_UN)
    with suppress(BrokenPipeError):
        os.write(1, os.fsencode(message))
    os.closerange(0, 2)


def _stop_when_unused(in_use: int, server: int, data: Path) -> None:
    while True:
        with suppress(OSError):  # no memory for a lock or a process: tried again
            fcntl.flock(in_use, fcntl.LOCK_EX)
            _stop(server, data)
            return
        time.sleep(_RETRY_SECONDS)


def _stop(pid: int, data: Path) -> None:
    """Stop the server with a checkpoint; after ten seconds without; after ten more by force."""
    for how in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        with suppress(ProcessLookupError):
            if _serves(pid, data):
                os.kill(pid, how)
        if until(lambda: not _serves(pid, data), time.monotonic() + _STOP_SECONDS):
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


def _launch(folder: Path, programs: Path, name: str, deadline: float) -> subprocess.Popen[bytes]:
    data = folder / "data"
    _clear_away(data)
    if os.geteuid() == 0:
        _shed_root(folder)
        _require_entry(folder, programs)
    _begin_log(folder, deadline)
    if not data.exists():
        _initialise(data, programs, name, deadline)
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
    until(lambda: server.poll() is not None or socket_of(folder) is not None, deadline)
    if server.poll() is None and socket_of(folder):
        return server
    server.kill()
    server.wait()
    raise EmbeddedError(f"it ended, or was not ready in time.{log_tail(folder)}")


def _begin_log(folder: Path, deadline: float) -> None:
    """Make the log this process's stderr, and that of the processes it starts.

    They share its lock too. So this waits for what outlives a supervisor or a postmaster that was
    killed: an initdb still writing, a query too busy to notice.
    """
    log = open_lock(folder / "log")
    wait_for_lock(log, fcntl.LOCK_EX, deadline)
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


def _initialise(data: Path, programs: Path, name: str, deadline: float) -> None:
    """Make the cluster beside its place: what an interruption leaves is not taken for one."""
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
    # libpq takes a comma for the end of a host.
    if len(os.fsencode(path / f".s.PGSQL.{PORT}")) <= _SOCKET_BYTES and "," not in str(path):
        return path
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return Path(tempfile.gettempdir(), f"postgres-{os.geteuid()}-{digest}")


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
    _supervise(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
