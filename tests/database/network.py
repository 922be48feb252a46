"""A network namespace that can drop every packet."""

import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

import pytest

DROP = """
table inet faults {
    chain input { type filter hook input priority 0; policy drop; }
    chain output { type filter hook output priority 0; policy drop; }
}
"""

_numbers = itertools.count()


class Network:
    """A network namespace at the other end of a veth pair; skips the test if it cannot be created.

    Run a program in it with `prefix` before the command line; it is reachable at `address`.
    """

    def __init__(self) -> None:
        # Names and addresses contain the process id, so that two runs do not use the same ones.
        number, pid = next(_numbers), os.getpid()
        self.name = f"faults-{pid}-{number}"
        self._veth = f"flt{pid % 100_000}n{number}"
        # RFC 2544 reserves 198.18.0.0/15 for network benchmarks.
        subnet = f"198.18.{pid % 256}"
        self.here, self.address = f"{subnet}.{4 * number + 1}", f"{subnet}.{4 * number + 2}"
        self.prefix = ["ip", "netns", "exec", self.name]

    def __enter__(self) -> Self:
        missing = [tool for tool in ("ip", "nft") if shutil.which(tool) is None]
        if os.geteuid() != 0 or missing:
            pytest.skip(f"a network namespace needs root, ip and nft; missing: {missing or 'root'}")
        try:
            _run("ip", "netns", "add", self.name)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no network namespace can be made: {error.stderr.strip()}")
        there = ["ip", "-netns", self.name]
        try:
            peer = ["peer", "name", "eth0", "netns", self.name]
            _run("ip", "link", "add", self._veth, "type", "veth", *peer)
            _run("ip", "address", "add", f"{self.here}/30", "dev", self._veth)
            _run("ip", "link", "set", self._veth, "up")
            _run(*there, "address", "add", f"{self.address}/30", "dev", "eth0")
            _run(*there, "link", "set", "eth0", "up")
            _run(*there, "link", "set", "lo", "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        _run("ip", "netns", "delete", self.name)  # deletes the veth pair too

    @contextmanager
    def lost(self) -> Iterator[None]:
        """Drop every packet silently, in both directions."""
        _run(*self.prefix, "nft", "--file", "-", text=DROP)
        try:
            yield
        finally:
            _run(*self.prefix, "nft", "delete", "table", "inet", "faults")


def _run(*command: str, text: str = "") -> None:
    subprocess.run(command, input=text, capture_output=True, text=True, check=True)  # noqa: S603 -- fixed words
