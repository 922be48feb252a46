"""API machines, which a test starts, stops and kills."""

import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from config.settings import BASE_DIR
from tests.database.application import serve
from tests.database.load import ask
from tests.database.servers import wait_until
from tests.processes import environment, free_port


class Machine:
    """A server on `port`, with a folder of its own for what it does not share."""

    def __init__(self, name: str, folder: Path, variables: Mapping[str, str]) -> None:
        self.name = name
        self.port = free_port()
        self._log = folder / "log"
        self._variables = {**variables, "TMPDIR": str(folder)}
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def start(self) -> None:
        """Does not wait until it is ready."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 -- our own interpreter
                serve(self.port),
                cwd=BASE_DIR,
                env=environment(**self._variables),
                stdout=log,
                stderr=log,
            )

    def wait_until_ready(self) -> None:
        try:
            wait_until(self._is_ready, f"machine {self.name} is ready", seconds=90)
        except TimeoutError as error:
            error.add_note(self.said())
            raise

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.said()
        return ask(self.port, "/readyz").status == 200

    @property
    def runs(self) -> bool:
        return self._process is not None

    def said(self) -> str:
        return self._log.read_text(errors="replace")

    def kill(self) -> None:
        """End all its processes at the same moment."""
        main = self._running.pid
        os.kill(main, signal.SIGSTOP)  # it must not replace workers
        workers = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        pids = [main, *map(int, workers)]
        for send in (signal.SIGSTOP, signal.SIGKILL):
            for pid in pids:
                os.kill(pid, send)
        self._running.wait(10)
        # The workers have no parent that waits for them.
        wait_until(lambda: not any(_is_alive(pid) for pid in pids), f"{self.name} is dead")
        self._process = None

    def terminate(self) -> None:
        """Send SIGTERM to its main process, as a supervisor does, and wait for its end."""
        self._running.terminate()
        status = self._running.wait(60)
        self._process = None
        assert status == 0, f"the exit status is {status}: {self.said()}"

    def end(self) -> None:
        if self._process is not None:
            self.kill()

    @property
    def _running(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None, f"machine {self.name} does not run"
        return self._process


def _is_alive(pid: int) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False
