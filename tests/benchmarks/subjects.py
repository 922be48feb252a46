"""The servers that are measured: this project and the baselines.

Each has two worker processes; they may share a PostgreSQL.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from django.conf import settings

from config.settings import BASE_DIR
from tests.benchmarks.costs import Cpu, cpu_with
from tests.database.application import end
from tests.database.load import ask
from tests.database.servers import PostgreSQL, wait_until
from tests.processes import environment, free_port

WORKERS = 2
THREADS = 8  # of each worker
BASELINES = "tests.benchmarks.baselines"


class Server(NamedTuple):
    port: int
    pid: int
    postgresql: PostgreSQL

    def cpu(self) -> Cpu:
        """The CPU time that the server and PostgreSQL have used since their start."""
        return cpu_with(self.postgresql, self.pid)


@contextmanager
def this_project(
    postgresql: PostgreSQL, url: str = "", *, threads: int = THREADS, **variables: str
) -> Iterator[Server]:
    """`manage.py serve`. Only its size and `variables` are set; other settings have defaults."""
    variables |= {
        "DATABASE_URL": url or postgresql.url(),
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "SERVER_WORKERS": str(WORKERS),
        "SERVER_THREADS": str(threads),
    }

    def command(port: int) -> list[str]:
        return [sys.executable, "manage.py", "serve", f"--port={port}"]

    with _serving(command, postgresql, "/livez", **variables) as server:
        yield server


@contextmanager
def raw_wsgi(postgresql: PostgreSQL, statements: dict[str, str]) -> Iterator[Server]:
    """A WSGI function and psycopg.

    It checks the user by the statement `user`; without one, `page` checks the user too.
    """
    with _baseline(postgresql, statements, "raw_wsgi:application", "wsgi") as server:
        yield server


@contextmanager
def fastapi(postgresql: PostgreSQL, statements: dict[str, str]) -> Iterator[Server]:
    """FastAPI and asyncpg, with the SQL of this project.

    It runs under granian and uvloop: uvicorn with uvloop and httptools answers a third fewer
    requests, with 1.15 times the CPU time.
    """
    with _baseline(postgresql, statements, "fastapi_app:app", "asgi") as server:
        yield server


@contextmanager
def drf(postgresql: PostgreSQL, statements: dict[str, str]) -> Iterator[Server]:
    """Django REST framework as its documentation shows it, with its own SQL."""
    with _baseline(postgresql, statements, "drf.wsgi:application", "wsgi") as server:
        yield server


@contextmanager
def _baseline(
    postgresql: PostgreSQL, statements: dict[str, str], target: str, interface: str
) -> Iterator[Server]:
    def command(port: int) -> list[str]:
        options = ["--interface", interface, "--port", str(port), "--workers", str(WORKERS)]
        if interface == "wsgi":
            options += ["--blocking-threads", str(THREADS)]
        else:
            options += ["--loop", "uvloop"]
        target_option = f"{BASELINES}.{target}"
        return [sys.executable, "-m", "granian", *options, "--no-ws", target_option]

    with TemporaryDirectory(prefix="baseline-") as folder:
        file = Path(folder, "statements.json")
        file.write_text(json.dumps(statements))
        variables = {
            "BENCH_DATABASE_URL": postgresql.url(),
            "BENCH_SECRET_KEY": settings.SECRET_KEY,
            "BENCH_STATEMENTS": str(file),
        }
        with _serving(command, postgresql, "/", **variables) as server:
            yield server


@contextmanager
def _serving(
    command: Callable[[int], Sequence[str]], postgresql: PostgreSQL, path: str, **variables: str
) -> Iterator[Server]:
    """Start the server, wait for its first answer, and stop it at the end."""
    port = free_port()
    with TemporaryDirectory(prefix="server-") as folder, Path(folder, "log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 -- our own interpreter
            command(port),
            cwd=BASE_DIR,
            env=environment(**variables),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

        def answers() -> bool:
            assert process.poll() is None, Path(log.name).read_text()
            return ask(port, path).status > 0

        try:
            wait_until(answers, "the server answers", seconds=60)
            yield Server(port, process.pid, postgresql)
        finally:
            end(process)
            # If granian is stopped before its workers listen, the workers keep running.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
