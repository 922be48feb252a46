"""Workers that are forked from a process with open connections."""

import itertools
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from tests.database import application
from tests.database.load import Reply, ask, failures
from tests.database.servers import migrated
from tests.processes import run

pytestmark = pytest.mark.faults

REQUESTS = 120
WORKERS = 2
CLIENTS = 20


def preforked(port: int) -> list[str]:
    return [sys.executable, "-m", "tests.database.site.preforked", str(port), str(WORKERS)]


def sockets(pid: int) -> set[str]:
    links = set()
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # the process has closed it meanwhile
            links.add(path.readlink().name)
    return {link for link in links if link.startswith("socket:")}


def test_forked_workers_open_their_own_connections(figures: Callable[[str], None]) -> None:
    with (
        migrated() as server,
        application.serving(server.url(), command=preforked, workers=WORKERS) as site,
        ThreadPoolExecutor(CLIENTS) as threads,
    ):

        def echo(number: int) -> Reply:
            return ask(site.port, f"/api/test/echo?value={number}")

        replies = list(threads.map(echo, range(REQUESTS)))
        assert not failures(replies), failures(replies)
        bodies = [reply.json() for reply in replies]
        workers = {body["worker"] for body in bodies}
        # All three processes share the listening socket.
        processes = [site.process.pid, *workers]
        shared = [sockets(a) & sockets(b) for a, b in itertools.combinations(processes, 2)]
        listening = set.intersection(*map(sockets, processes))

    right = [body["value"] == str(number) for number, body in enumerate(bodies)]
    sessions = {(body["worker"], body["session"]) for body in bodies}
    figures(
        f"{sum(right)} of {REQUESTS} right; {len(workers)} workers, {len(sessions)} sessions;"
        f" {len(set.union(*shared)) - 1} sockets shared beside the listening one"
    )
    assert all(right)
    assert len(workers) == WORKERS
    assert len({session for _, session in sessions}) == len(sessions)
    assert len(listening) == 1
    assert set.union(*shared) == listening


FORK = """if True:
    import os, threading
    from wsgiref.util import setup_testing_defaults
    from config.wsgi import application

    def names():
        return [thread.name for thread in threading.enumerate()]

    if child := os.fork():
        os.waitpid(child, 0)
    else:
        environ = {"PATH_INFO": "/livez"}
        setup_testing_defaults(environ)
        application(environ, lambda *_: None)
        print("queue-worker" in names(), flush=True)
"""


def test_a_forked_process_runs_the_queue_of_deletions() -> None:
    with migrated() as server:
        process = run("-c", FORK, DATABASE_URL=server.url())

    assert process.stdout == "True\n", process.stderr
