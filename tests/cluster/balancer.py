"""haproxy with docs/deploy/cluster/haproxy.cfg in front of the API machines of a test."""

import csv
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import urlopen

import pytest

from config.settings import BASE_DIR
from tests.database.servers import wait_until
from tests.processes import free_port

FILE = BASE_DIR / "docs/deploy/cluster/haproxy.cfg"
# The tests' user may be none of root, and PostgreSQL is not asked through haproxy.
LEFT_OUT = r"(?m)^    (user|group) .*\n|^listen .*\n(?:(?:    .*)?\n)*"


class Balancer:
    """Listens on `port`. Its servers are api1, api2 and so on."""

    def __init__(self, folder: Path, machines: list[str]) -> None:
        """`machines` are addresses, such as 127.0.0.1:8000."""
        self.port, self._statistics = free_port(), free_port()
        self.machines = machines
        self._file = folder / "haproxy.cfg"
        self._file.write_text(self._configuration())

    def _configuration(self) -> str:
        text = re.sub(LEFT_OUT, "", FILE.read_text())
        text = text.replace("bind :8000\n", f"bind 127.0.0.1:{self.port}\n")
        text = text.replace("bind 127.0.0.1:8404\n", f"bind 127.0.0.1:{self._statistics}\n")
        # Sockets of this kind belong to the machine, which may run several tests.
        text = text.replace("abns@conduit-writes", f"abns@conduit-writes-{self.port}")
        for number, address in enumerate(self.machines, 1):
            text = text.replace(f" api{number}:8000", f" {address}")
        return text

    @contextmanager
    def running(self) -> Iterator[None]:
        # -db: no process in the background.
        process = subprocess.Popen(["haproxy", "-db", "-f", self._file])  # noqa: S603, S607
        try:
            yield
        finally:
            process.terminate()
            process.wait(10)

    def states(self) -> dict[str, str]:
        """The states of the API machines, such as UP and DOWN, by name."""
        with urlopen(f"http://127.0.0.1:{self._statistics}/;csv", timeout=5) as answer:
            rows = csv.DictReader(StringIO(answer.read().decode().removeprefix("# ")))
        return {
            row["svname"]: row["status"].partition(" ")[0]
            for row in rows
            if row["pxname"] == "api" and re.fullmatch(r"api\d", row["svname"])
        }

    def wait_for(self, state: str, *numbers: int) -> None:
        """Wait until haproxy has found these machines in this state."""

        def is_found() -> bool:
            try:
                states = self.states()
            except OSError:  # haproxy is starting
                return False
            return all(states[f"api{number}"] == state for number in numbers)

        wait_until(is_found, f"haproxy finds {numbers} {state}")


@contextmanager
def balancing(*ports: int) -> Iterator[Balancer]:
    """haproxy in front of servers on these ports of 127.0.0.1. Skips the test without haproxy."""
    if not shutil.which("haproxy"):
        pytest.skip("haproxy is not installed")
    with TemporaryDirectory(prefix="haproxy-") as folder:
        balancer = Balancer(Path(folder), [f"127.0.0.1:{port}" for port in ports])
        with balancer.running():
            yield balancer


def milliseconds(text: str) -> int:
    """The value of a time in the file: 500ms, 1s."""
    number, unit = re.fullmatch(r"(\d+)(ms|s)", text).groups()  # type: ignore[union-attr]
    return int(number) * {"ms": 1, "s": 1000}[unit]
