"""A PostgreSQL node under Patroni, which can be killed, frozen, delayed and cut off.

It has a network namespace of its own, and its configuration is docs/deploy/cluster/patroni.yml.
"""

import json
import os
import shutil
import signal
import subprocess
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, LiteralString
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psycopg
import pytest
import yaml

from config.settings import BASE_DIR
from tests.database.clusters import DEBIAN, release_memory, unprivileged
from tests.database.network import DROP
from tests.database.servers import wait_until

SETTINGS = BASE_DIR / "docs/deploy/cluster/patroni.yml"
PATRONI = "/usr/bin/patroni"  # a package of Debian: any user can read it, unlike a virtualenv
DATABASE = "conduit"
PASSWORD = "secret"  # of all roles


class Node:
    """One node: Patroni and its PostgreSQL, at `address`:5432."""

    def __init__(self, number: int, address: str, bridge: str, etcd: str, folder: Path) -> None:
        """`bridge` is the network to which it belongs, `etcd` has the form host:port, and `folder`
        is the one in which the node creates its own."""
        self.name = f"node{number}"
        self.address = address
        self.folder = folder / self.name
        self._bridge, self._etcd = bridge, etcd
        self._namespace, self._veth = f"{bridge}-{number}", f"{bridge}{number}"
        self._inside = ["ip", "netns", "exec", self._namespace]
        self._patroni: subprocess.Popen[bytes] | None = None
        self._is_cut_off = False

    def __repr__(self) -> str:
        return self.name

    def prepare(self) -> None:
        """Create the folders and the namespace."""
        (self.folder / "configuration").mkdir(parents=True)
        shutil.copy(SETTINGS, self.folder / "configuration/1.yml")
        for file in ("docs/deploy/cluster/create_database.sql", "docs/roles.sql"):
            shutil.copy(BASE_DIR / file, self.folder)
        self._override({})
        there = ["ip", "-netns", self._namespace]
        run_tool("ip", "netns", "add", self._namespace)
        peer = ["peer", "name", "eth0", "netns", self._namespace]
        run_tool("ip", "link", "add", self._veth, "type", "veth", *peer)
        run_tool("ip", "link", "set", self._veth, "master", self._bridge, "up")
        run_tool(*there, "address", "add", f"{self.address}/24", "dev", "eth0")
        run_tool(*there, "link", "set", "eth0", "up")
        run_tool(*there, "link", "set", "lo", "up")

    def remove(self) -> None:
        self._kill()
        if self._patroni:
            release_memory(programs(), self.folder)
            self._patroni = None
        # The veth pair first: the kernel keeps a deleted namespace, with what is in it, for minutes
        # if a connection of an ended process still waits for an answer.
        for kind, name in (("link", self._veth), ("netns", self._namespace)):
            with suppress(subprocess.CalledProcessError):  # it was never made
                run_tool("ip", kind, "delete", name)

    def start(self) -> None:
        """Start the node, also again after its end."""
        with (self.folder / "log").open("ab") as log:
            self._patroni = subprocess.Popen(  # noqa: S603 -- Debian's Patroni
                [
                    *self._inside,
                    *unprivileged(self.folder, PATRONI, self.folder / "configuration"),
                ],
                cwd=self.folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _environment(self) -> dict[str, str]:
        postgresql = programs()
        return {
            "PATH": f"{postgresql}:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "PATRONI_NAME": self.name,
            "PATRONI_RESTAPI_CONNECT_ADDRESS": f"{self.address}:8008",
            "PATRONI_RESTAPI_USERNAME": "patroni",
            "PATRONI_RESTAPI_PASSWORD": PASSWORD,
            "PATRONI_POSTGRESQL_CONNECT_ADDRESS": f"{self.address}:5432",
            "PATRONI_POSTGRESQL_DATA_DIR": f"{self.folder}/data",
            "PATRONI_POSTGRESQL_BIN_DIR": f"{postgresql}",
            "PATRONI_POSTGRESQL_PGPASS": f"{self.folder}/pgpass",
            # The old interface, see SETTINGS: Debian 12 has Patroni 3.0.2.
            "PATRONI_ETCD_HOSTS": self._etcd,
            "PATRONI_SUPERUSER_PASSWORD": PASSWORD,
            "PATRONI_REPLICATION_PASSWORD": PASSWORD,
            "PATRONI_REWIND_PASSWORD": PASSWORD,
            "CONDUIT_OWNER_PASSWORD": PASSWORD,
            "CONDUIT_PASSWORD": PASSWORD,
        }

    def _override(self, recovery: dict[str, str]) -> None:
        """Write what only tests need. Patroni reads the files of its folder in their order."""
        settings = {
            # Without a power cut, no commit is lost: tests kill only processes.
            "postgresql": {
                "parameters": {"fsync": "off", "unix_socket_directories": f"{self.folder}"},
                "recovery_conf": recovery,
            },
            "watchdog": {"mode": "off"},  # it would restart this machine
        }
        (self.folder / "configuration/2.yml").write_text(yaml.safe_dump(settings))

    def delay(self, seconds: float) -> None:
        """Let this standby apply each commit so many seconds after the primary made it."""
        milliseconds = round(seconds * 1000)
        self._override({"recovery_min_apply_delay": str(milliseconds)})
        self.ask("/reload", "POST", timeout=30)
        setting: LiteralString = (
            "SELECT setting::int FROM pg_settings WHERE name = 'recovery_min_apply_delay'"
        )
        wait_until(lambda: self.execute(setting) == [(milliseconds,)], "the delay is in effect")

    def processes(self, name: str = "") -> list[int]:
        """The process ids of the node; with a name, only the processes with this name."""
        found = subprocess.run(  # noqa: S603 -- fixed words
            ["ip", "netns", "pids", self._namespace],  # noqa: S607 -- the one of the system
            capture_output=True,
            text=True,
        ).stdout.split()
        return [pid for pid in map(int, found) if name in ("", _name_of(pid))]

    def kill_postgres(self) -> None:
        """Crash PostgreSQL: end all its processes with SIGKILL. Patroni goes on."""
        self._kill("postgres")

    def lose(self) -> None:
        """Take the node away like a power cut: all processes end, and no packet leaves it."""
        self.cut_off()
        self._kill()

    def cut_off(self) -> None:
        """Drop all packets from and to the node silently."""
        run_tool(*self._inside, "nft", "--file", "-", text=DROP)
        self._is_cut_off = True

    def reconnect(self) -> None:
        run_tool(*self._inside, "nft", "delete", "table", "inet", "faults")
        self._is_cut_off = False

    def freeze(self, name: str = "") -> set[int]:
        """Stop all processes of the node with SIGSTOP; their sockets stay open."""
        frozen: set[int] = set()
        while new := {*self.processes(name)} - frozen:  # a process may have started another
            for pid in new:
                _signal(pid, signal.SIGSTOP)
            frozen |= new
        return frozen

    def thaw(self) -> None:
        for pid in self.processes():
            _signal(pid, signal.SIGCONT)

    def repair(self) -> None:
        """Thaw the node, connect it with the network, and start it if it has ended."""
        self.thaw()
        if self._is_cut_off:
            self.reconnect()
        if not self._patroni or self._patroni.poll() is not None:
            self.start()

    def _kill(self, name: str = "") -> None:
        frozen = self.freeze(name)
        for pid in frozen:
            _signal(pid, signal.SIGKILL)
        wait_until(lambda: not frozen & {*self.processes(name)}, f"{self} has ended")
        if not name and self._patroni:
            self._patroni.wait(10)

    def ask(self, path: str, method: str = "GET", body: object = None, timeout: float = 2) -> Any:
        """The answer of Patroni's REST interface.

        Raises OSError if there is no answer, HTTPError for 4xx and 5xx.
        """
        account = b64encode(f"patroni:{PASSWORD}".encode()).decode()
        request = Request(
            f"http://{self.address}:8008{path}",
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers={"Authorization": f"Basic {account}"},
        )
        with urlopen(request, timeout=timeout) as response:  # noqa: S310 -- http
            content = response.read()
        try:
            return json.loads(content)
        except ValueError:
            return content.decode()

    def state(self) -> dict[str, Any]:
        """What Patroni says about this node; empty if it does not answer."""
        try:
            state: dict[str, Any] = self.ask("/patroni")
        except HTTPError as error:  # 503: PostgreSQL is not running
            state = json.loads(error.read())
        except (OSError, ValueError):
            state = {}
        return state

    @contextmanager
    def session(self, dbname: str = DATABASE) -> Iterator[psycopg.Connection]:
        """A session of a superuser, with autocommit."""
        with psycopg.connect(
            host=self.address,
            user="postgres",
            password=PASSWORD,
            dbname=dbname,
            connect_timeout=3,
            autocommit=True,
        ) as session:
            yield session

    def execute(self, query: LiteralString, parameters: Sequence[object] = ()) -> list[Any]:
        with self.session() as session:
            cursor = session.execute(query, parameters)
            return cursor.fetchall() if cursor.description else []

    def logs(self) -> str:
        return (self.folder / "log").read_text(errors="replace")


def skip_without(*programs: str) -> None:
    """Skip the test if one of these programs is not installed."""
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{Path(program).name} is not installed")


def programs() -> Path:
    """The folder of Debian's newest PostgreSQL; without one, skips the test."""
    versions = sorted(DEBIAN.glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if not versions:
        pytest.skip(f"there is no PostgreSQL in {DEBIAN}")
    return versions[-1].parent


def run_tool(*command: str, text: str = "") -> None:
    subprocess.run(command, input=text, capture_output=True, text=True, check=True)  # noqa: S603 -- fixed words


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):  # it has ended
        os.kill(pid, number)


def _name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:  # it has ended
        return ""
