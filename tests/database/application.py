"""Starts the production server with the test site and another PostgreSQL."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from config.settings import BASE_DIR
from tests.database.load import ask
from tests.database.servers import wait_until
from tests.processes import environment, free_port

SETTINGS = "tests.database.site.settings"
THREADS = 32
POOL_MAX = 8
# For tests that expect to keep every session: a stalled machine does not make a ping too late.
PATIENT_PING = {"DATABASE_PING_TIMEOUT": "5"}


class Application:
    """A server process on `port` of this machine; its output is in the file `log`."""

    def __init__(self, port: int, log: Path, process: "subprocess.Popen[bytes]") -> None:
        self.port = port
        self.log = log
        self.process = process

    def said(self) -> str:
        """The output of the server and its workers up to now."""
        return self.log.read_text(errors="replace")

    def workers(self) -> list[int]:
        """The process ids of the workers, which are children of the main process."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    def is_up(self) -> bool:
        assert self.process.poll() is None, f"the server has exited:\n{self.said()}"
        return ask(self.port, "/api/test/select-1").status == 200


def serve(port: int) -> list[str]:
    return [sys.executable, "manage.py", "serve", "--port", str(port)]


@contextmanager
def serving(
    url: str,
    variables: Mapping[str, str] = {},
    *,
    command: Callable[[int], list[str]] = serve,
    workers: int = 1,
    threads: int = THREADS,
) -> Iterator[Application]:
    """Start the server with `url` as its database, wait for its first answer, and stop it."""
    port = free_port()
    size = {"SERVER_WORKERS": str(workers), "SERVER_THREADS": str(threads)}
    ours = size | {"DJANGO_SETTINGS_MODULE": SETTINGS, "DATABASE_URL": url}
    with TemporaryDirectory(prefix="application-") as folder, Path(folder, "log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 -- our own interpreter
            command(port),
            cwd=BASE_DIR,
            env=environment(**{**ours, **variables}),
            stdout=log,
            stderr=log,
        )
        application = Application(port, Path(log.name), process)
        try:
            wait_until(application.is_up, "the server answers")
            yield application
        finally:
            end(process)


def end(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
