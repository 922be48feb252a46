"""Three nodes under Patroni on a bridge of this machine. etcd and the clients run outside of the
nodes' namespaces."""

import itertools
import os
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import pytest

from tests.cluster.nodes import (
    DATABASE,
    PASSWORD,
    PATRONI,
    Node,
    programs,
    run_tool,
    skip_without,
)
from tests.database.servers import wait_until
from tests.processes import free_port, run

OWNER, ROLE = "conduit_owner", "conduit"  # of docs/roles.sql

_numbers = itertools.count()


class Cluster:
    """etcd and the nodes; skips the test if a program is missing."""

    def __init__(self) -> None:
        number, pid = next(_numbers), os.getpid()
        self.bridge = f"clu{pid % 100_000}n{number}"
        # RFC 2544 reserves 198.18.0.0/15 for network benchmarks. tests/database/network.py has
        # the lower half.
        self._subnet = f"198.19.{(pid + number) % 256}"
        self.etcd = f"{self.address_of(1)}:{free_port()}"

    def address_of(self, number: int) -> str:
        return f"{self._subnet}.{number}"

    def __enter__(self) -> Self:
        skip_without("ip", "nft", "etcd", PATRONI)
        if os.geteuid() != 0:
            pytest.skip("network namespaces need root")
        programs()
        with ExitStack() as stack:
            folder = stack.enter_context(TemporaryDirectory(prefix="cluster-"))
            self.folder = Path(folder)
            self.nodes = [
                Node(number, self.address_of(10 + number), self.bridge, self.etcd, self.folder)
                for number in (1, 2, 3)
            ]
            try:
                run_tool("ip", "link", "add", self.bridge, "type", "bridge")
            except subprocess.CalledProcessError as error:
                pytest.skip(f"no bridge can be made: {error.stderr.strip()}")
            stack.callback(run_tool, "ip", "link", "delete", self.bridge)
            run_tool("ip", "address", "add", f"{self.address_of(1)}/24", "dev", self.bridge)
            run_tool("ip", "link", "set", self.bridge, "up")
            stack.enter_context(self._running_etcd())
            for node in self.nodes:
                stack.callback(node.remove)
                node.prepare()
                node.start()
            self.wait_until_healthy()
            self._migrate()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        with ThreadPoolExecutor() as threads:
            list(threads.map(Node.remove, self.nodes))
        self._stack.close()

    @contextmanager
    def _running_etcd(self) -> Iterator[None]:
        peers = f"http://{self.address_of(1)}:{free_port()}"
        clients = f"http://{self.etcd}"
        with (self.folder / "etcd-log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 -- Debian's etcd
                [
                    *("etcd", "--data-dir", self.folder / "etcd", "--unsafe-no-fsync"),
                    "--enable-v2",
                    *("--listen-client-urls", clients, "--advertise-client-urls", clients),
                    *("--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers),
                    *("--initial-cluster", f"default={peers}"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            yield
        finally:
            process.kill()
            process.wait()

    def _migrate(self) -> None:
        migrating = run("manage.py", "migrate", "--verbosity=0", DATABASE_URL=self.url(OWNER))
        assert migrating.returncode == 0, migrating.stderr

    def url(self, role: str = ROLE) -> str:
        """The DATABASE_URL of all nodes."""
        hosts = ",".join(f"{node.address}:5432" for node in self.nodes)
        options = "target_session_attrs=read-write&sslmode=disable"
        return f"postgresql://{role}:{PASSWORD}@{hosts}/{DATABASE}?{options}"

    def members(self) -> dict[str, str]:
        """The role of each node in etcd, by its name: leader, sync_standby or replica."""
        for node in self.nodes:
            with suppress(OSError, ValueError):
                members = node.ask("/cluster")["members"]
                return {member["name"]: member["role"] for member in members}
        return {}

    def primary(self) -> Node:
        """The node that has the role in etcd. Raises LookupError without one."""
        return self._with_role("leader")

    def sync_standby(self) -> Node:
        return self._with_role("sync_standby")

    def async_standby(self) -> Node:
        return self._with_role("replica")

    def standbys(self) -> list[Node]:
        return [self.sync_standby(), self.async_standby()]

    def _with_role(self, role: str) -> Node:
        members = self.members()
        for node in self.nodes:
            if members.get(node.name) == role:
                return node
        raise LookupError(f"no node is {role}: {members}")

    def switchover(self) -> None:
        """Make the synchronous standby the primary; the old primary becomes a standby."""
        leader, candidate = self.primary(), self.sync_standby()
        order = {"leader": leader.name, "candidate": candidate.name}
        leader.ask("/switchover", "POST", order, timeout=30)

    def repair(self) -> None:
        """Thaw all nodes, end their losses, and start those that have ended."""
        for node in self.nodes:
            node.repair()

    def wait_until_healthy(self, seconds: float = 240) -> float:
        """Wait for a primary, a synchronous and an asynchronous standby, both streaming."""
        try:
            return wait_until(self.is_healthy, "the cluster is healthy", seconds)
        except TimeoutError as error:
            states = {node.name: node.state() for node in self.nodes}
            raise TimeoutError(f"{error}; {states}\n{self.tail_of_logs()}") from None

    def is_healthy(self) -> bool:
        time.sleep(0.2)  # each question costs CPU time
        try:
            primary, standbys = self.primary(), self.standbys()
        except LookupError:
            return False
        state = primary.state()
        streams = [
            (standby["state"], standby["sync_state"]) for standby in state.get("replication", [])
        ]
        if sorted(streams) != [("streaming", "async"), ("streaming", "sync")]:
            return False
        # A standby that was lost a moment ago is still in both lists. So each must prove that it
        # has received what the primary had written before.
        written, timeline = state["xlog"]["location"], state["timeline"]
        states = [standby.state() for standby in standbys]
        return all(
            state.get("state") == "running"
            and state.get("timeline") == timeline
            and (state["xlog"]["replayed_location"] or 0) >= written
            for state in states
        )

    def tail_of_logs(self) -> str:
        return "\n".join(f"{node}:\n{node.logs()[-3000:]}" for node in self.nodes)
