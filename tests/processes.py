"""Starts other processes: a Python interpreter, or a server."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from atexit import register as at_exit
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from itertools import cycle, islice
from pathlib import Path
from secrets import randbelow
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from django.conf import settings
from django.db import connection as database

from config.settings import BASE_DIR

# Below the ports that Linux (from 32,768) and macOS (from 49,152) give to clients. Each process
# begins somewhere else, because several run at the same time.
PORTS = range(20_000, 32_000)
_ports = islice(cycle(PORTS), randbelow(len(PORTS)), None)
QUIET = {"DATABASE_SLOW_QUERY": "60000"}  # milliseconds; no statement takes longer


def environment(**variables: str) -> dict[str, str]:
    """The environment of this process, without `.env`; the only variables of the project are
    SECRET_KEY and `variables`."""
    # tests/settings.py has removed the project's other variables.
    ours = {"DATABASE_URL", "DEBUG", "DJANGO_SETTINGS_MODULE", "SERVER_THREADS"}
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    return kept | {"ENV_FILE": os.devnull, "SECRET_KEY": settings.SECRET_KEY} | variables


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs a Python process until it ends: `run("manage.py", "check", DEBUG="on")`.

    It logs no slow statements, so that a busy machine adds nothing to its output.
    """
    return subprocess.run(  # noqa: S603 -- our own interpreter
        [sys.executable, *arguments],
        cwd=BASE_DIR,
        env=environment(**QUIET | variables),
        capture_output=True,
        text=True,
        timeout=300,  # seconds; demo content for large sites takes a minute
    )


def run_forked(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Does as `run` in a third of its time, because the process has already imported packages.

    For tests of what a command does, and not of how Python starts. The first argument is `-c` or a
    file.
    """
    message = json.dumps([arguments, environment(**QUIET | variables)]).encode()
    with (
        open(os.devnull) as nothing,
        TemporaryFile("w+") as output,
        TemporaryFile("w+") as errors,
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection,
    ):
        connection.settimeout(300)
        connection.connect(_forkserver())
        files = [nothing.fileno(), output.fileno(), errors.fileno()]
        socket.send_fds(connection, [message], files)
        status = int(connection.recv(100))
        texts = []
        for file in (output, errors):
            file.seek(0)
            texts.append(file.read())
    return subprocess.CompletedProcess(arguments, status, *texts)


_starting = threading.Lock()  # tests run several commands at the same time, in threads


def _forkserver() -> str:
    with _starting:
        return _start_forkserver()


@cache
def _start_forkserver() -> str:
    """The path of its socket. It ends with this process."""
    folder = TemporaryDirectory(prefix="forkserver-")
    path = f"{folder.name}/socket"
    process = subprocess.Popen(  # noqa: S603 -- our own interpreter
        [sys.executable, "-m", "tests.forkserver", path],
        cwd=BASE_DIR,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"

    def stop() -> None:
        process.communicate()  # closes its standard input
        folder.cleanup()

    at_exit(stop)
    return path


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    content: Any
    seconds: float


class Server:
    def __init__(self, port: int) -> None:
        self.port = port

    def call(self, method: str, path: str, body: Any = None, token: str = "") -> Answer:
        """Sends one request over a new connection; the timeout is 30 seconds."""
        started = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"Authorization": f"Token {token}"} if token else {}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, path, body and json.dumps(body), headers)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        return Answer(
            response.status,
            {name.lower(): value for name, value in response.getheaders()},
            json.loads(content) if content else None,
            time.monotonic() - started,
        )


def free_port() -> int:
    """A free port. This process returns each port once, until all were returned.

    The kernel never gives it to a client, which could take it before the server starts.
    """
    for port in _ports:
        with socket.socket() as listener, suppress(OSError):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))
            break
    return port


def granian(port: int) -> list[str]:
    options = ["--interface", "wsgi", "--port", str(port), "--workers", "1"]
    options += ["--blocking-threads", "8", "--no-ws", "config.wsgi:application"]
    return [sys.executable, "-m", "granian", *options]


def runserver(port: int) -> list[str]:
    return [sys.executable, "manage.py", "runserver", "--noreload", str(port)]


@contextmanager
def serving(command: Callable[[int], list[str]] = granian, /, **variables: str) -> Iterator[Server]:
    """Starts a server process, waits for its first answer, and stops the server at the end."""
    server = Server(free_port())
    process = subprocess.Popen(  # noqa: S603 -- our own interpreter
        command(server.port), cwd=BASE_DIR, env=environment(**variables)
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                server.call("GET", "/api/nothing")
                break
            except OSError:
                assert process.poll() is None, "the server has exited"
                assert time.monotonic() < deadline, "the server does not answer within 60 s"
                time.sleep(0.05)
        yield server
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[Any]) -> None:
    # A batch of deletions takes 10 s at most (users.queue_worker). granian loses the signal if it
    # comes while the worker starts, so the worker gets it again.
    process.terminate()
    for _ in range(4):
        try:
            process.wait(5)
            return
        except subprocess.TimeoutExpired:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
            for child in children.read_text().split() if children.exists() else ():
                os.kill(int(child), signal.SIGTERM)
    process.kill()
    raise AssertionError("the server does not stop within 20 s")


def database_url(**options: str) -> str:
    """The DATABASE_URL of the test database, with these libpq options."""
    params = database.get_connection_params()
    names = ("host", "port", "user", "password")
    query = {name: params[name] for name in names if name in params} | options
    return f"postgresql:///{params['dbname']}?{urlencode(query, quote_via=quote)}"
