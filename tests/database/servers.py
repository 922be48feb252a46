"""A PostgreSQL server that a test starts, stops, freezes and kills."""

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, LiteralString, Self
from urllib.parse import quote, urlencode

import psycopg

from database.embedded import supervisor
from tests.database import clusters
from tests.database.certificates import certify
from tests.database.clusters import DATABASE, PASSWORD, ROLE, Kind, unprivileged
from tests.processes import free_port, run_forked

OBSERVER = "observer"  # the application_name of the tests' own sessions
CLIENTS: LiteralString = """
    SELECT pid FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND application_name <> %s
"""

# Without a unique constraint, so that a test sees duplicates.
SCRATCH: LiteralString = "CREATE TABLE scratch (id text NOT NULL)"

SETTINGS: dict[str, object] = {
    "max_connections": 100,
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Loses no commit in the tests: PostgreSQL writes a commit to the kernel before it acknowledges
    # it, and tests kill only processes. Only a power cut would lose it.
    "fsync": "off",
}

_templates = threading.RLock()  # tests start several servers at the same time, in threads


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 60) -> float:
    """Wait until the condition is true; return the time.monotonic() of that moment.

    Raises TimeoutError with the text `what` after `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(0.01)
    return time.monotonic()


class PostgreSQL:
    """A server on a free TCP port with SCRAM, as in production, and on a unix socket without.

        with PostgreSQL(max_connections=20, log_min_messages="debug1") as server:
            server.stop("immediate")

    It uses the programs of the embedded server, or those of Debian for TLS, ICU or contrib.
    """

    def __init__(
        self,
        *,
        ssl: bool = False,
        icu: bool = False,
        contrib: bool = False,
        host: str = "127.0.0.1",
        prefix: Sequence[str] = (),
        **settings: object,
    ) -> None:
        """`prefix` comes before the command line: `ip netns exec NAME` for another `host`."""
        self.kind = clusters.debian(icu=icu) if ssl or icu or contrib else clusters.embedded()
        self.host, self.port, self.prefix = host, free_port(), prefix
        self.settings = SETTINGS | {"ssl": "on" if ssl else "off"} | settings
        self.template: Callable[[Kind], Path] = clusters.initialised
        self._process: subprocess.Popen[bytes] | None = None
        self._was_killed = False

    def __enter__(self) -> Self:
        self._temporary = TemporaryDirectory(prefix="postgresql-")
        self.folder = Path(self._temporary.name)
        self.log = self.folder / "log"
        with _templates:
            template = self.template(self.kind)
        shutil.copytree(template, self.folder / "data")
        if self.settings["ssl"] == "on":
            self.authority = certify(self.folder / "data", self.host)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self.thaw()  # a stopped process does not react to the signal
            self.stop("immediate")  # without SIGKILL, it releases its shared memory
        elif self._was_killed:
            clusters.release_memory(self.kind.programs, self.folder)
        self._temporary.cleanup()

    def url(self, **options: str) -> str:
        """The DATABASE_URL of this server, with these libpq options."""
        user = f"{ROLE}:{quote(PASSWORD, safe='')}"
        query = urlencode(options, quote_via=quote)
        return f"postgresql://{user}@{self.host}:{self.port}/{DATABASE}?{query}".rstrip("?")

    def start(self) -> float:
        """Start the server; return the time.monotonic() when it accepts connections."""
        settings = self.settings | {
            "listen_addresses": self.host,
            "port": self.port,
            "unix_socket_directories": self.folder,
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        postgres, data = self.kind.programs / "postgres", self.folder / "data"
        self._was_killed = False
        with self.log.open("ab") as log:
            self._process = process = subprocess.Popen(  # noqa: S603 -- PostgreSQL's own program
                [*self.prefix, *unprivileged(self.folder, postgres, "-D", data, *options)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

        def is_ready() -> bool:
            assert process.poll() is None, supervisor.log_tail(self.folder)
            return supervisor.socket_of(self.folder) is not None

        return wait_until(is_ready, "PostgreSQL is ready")

    def stop(self, mode: str = "fast") -> None:
        """Stop the server and end every session; after "immediate" the next start recovers."""
        self._postmaster.send_signal({"fast": signal.SIGINT, "immediate": signal.SIGQUIT}[mode])
        self._postmaster.wait(30)
        self._process = None

    def kill(self) -> None:
        """Crash the server: kill all its processes at the same time."""
        processes = self.freeze()
        for pid in processes:
            os.kill(pid, signal.SIGKILL)
        self._postmaster.wait(10)
        wait_until(lambda: all(_stat(pid)[0] in "ZX" for pid in processes), "PostgreSQL is dead")
        self._process = None
        self._was_killed = True
        (self.folder / "data/postmaster.pid").unlink(missing_ok=True)

    def freeze(self) -> list[int]:
        """Stop every process with SIGSTOP, with open sockets; return the process ids."""
        postmaster = self._postmaster.pid
        os.kill(postmaster, signal.SIGSTOP)
        wait_until(lambda: _stat(postmaster)[0] in "TZ", "the postmaster forks no more")
        children = _children(postmaster)
        for pid in children:
            os.kill(pid, signal.SIGSTOP)
        return [postmaster, *children]

    def thaw(self) -> float:
        """Continue a frozen server; return the time.monotonic() of that moment."""
        for pid in [*_children(self._postmaster.pid), self._postmaster.pid]:
            with suppress(ProcessLookupError):  # a session has ended meanwhile
                os.kill(pid, signal.SIGCONT)
        return time.monotonic()

    @contextmanager
    def session(self) -> Iterator[psycopg.Connection]:
        """A session of the test as a superuser, with autocommit."""
        with psycopg.connect(
            host=str(self.folder),
            port=self.port,
            user=ROLE,
            dbname=DATABASE,
            application_name=OBSERVER,
            autocommit=True,
        ) as session:
            yield session

    def execute(self, query: LiteralString, parameters: Sequence[object] = ()) -> list[Any]:
        """The rows of a statement, executed in a new session."""
        with self.session() as session:
            cursor = session.execute(query, parameters)
            return cursor.fetchall() if cursor.description else []

    def sessions(self) -> list[int]:
        """The process ids of the clients' sessions, without those of the tests."""
        return [pid for (pid,) in self.execute(CLIENTS, [OBSERVER])]

    def terminate_sessions(self) -> int:
        """End the sessions of all clients, wait for their end, and return their number."""
        pids = self.sessions()
        self.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) AS pid", [pids])
        wait_until(lambda: not {*pids} & {*self.sessions()}, "the sessions are gone")
        return len(pids)

    @property
    def _postmaster(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None, "the server is not running"
        return self._process


def migrated(**options: Any) -> PostgreSQL:
    """A PostgreSQL with the empty tables of the project and the table of the test site."""
    server = PostgreSQL(**options)
    server.template = _migrated
    return server


@cache
def _migrated(kind: Kind) -> Path:
    server = PostgreSQL()
    server.kind = kind
    with server:
        process = run_forked("manage.py", "migrate", "--verbosity=0", DATABASE_URL=server.url())
        assert process.returncode == 0, process.stderr
        server.execute(SCRATCH)
        server.stop()
        return shutil.copytree(server.folder / "data", clusters.temporary_folder() / "data")


def _stat(pid: int) -> list[str]:
    """State, parent and so on as in proc(5); those of a zombie if the process does not exist."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ["Z", "0"]


def _children(pid: int) -> list[int]:
    processes = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    return [process for process in processes if _stat(process)[1] == str(pid)]


def migrate(server: PostgreSQL, *target: str) -> None:
    """Run `manage.py migrate` to the target: an app and a migration; without one, to the end."""
    process = run_forked(
        "manage.py", "migrate", "--skip-checks", *target, DATABASE_URL=server.url()
    )
    assert process.returncode == 0, process.stderr
