"""Clients that disconnect before their request is complete, or before its response."""

import socket
import struct
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial

import pytest

from tests.database import application
from tests.database.application import PATIENT_PING, POOL_MAX, Application
from tests.database.gate import closed_gate
from tests.database.load import ask, ask_at_once, failures, slowest
from tests.database.servers import PostgreSQL, migrated, wait_until
from tests.database.test_frozen import sleeping
from tests.stalls import assert_within, repeated_if_stalled

pytestmark = pytest.mark.faults

CLIENTS = 20  # simultaneous clients
IN_REQUEST, IN_RESPONSE = 200, 1_000

HALF_A_HEADER = b"GET /api/test/select-1 HTTP/1.1\r\nHost: loc"
HALF_A_BODY = (
    b"POST /api/test/write?id=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"
)
# 6 MB: more than the kernel buffers for a client that does not read.
STREAM = b"GET /api/test/stream?lines=6000 HTTP/1.1\r\nHost: localhost\r\n\r\n"


@contextmanager
def sent_request(port: int, request: bytes, *, politely: bool = True) -> Iterator[socket.socket]:
    """A connection on which this request was sent; at the end it is closed or reset."""
    with socket.create_connection(("127.0.0.1", port), 30) as client:
        client.sendall(request)
        yield client
        if not politely:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def hang_up_in_request(port: int, number: int) -> None:
    request = HALF_A_HEADER if number % 4 < 2 else HALF_A_BODY
    with sent_request(port, request, politely=number % 2 == 0):
        pass


def hang_up_in_response(port: int, number: int) -> bytes:
    """Disconnect when the first rows of the response have arrived; return what has arrived."""
    with sent_request(port, STREAM, politely=number % 2 == 0) as client:
        received = b""
        while b"xxx" not in received and (data := client.recv(1_000)):
            received += data
    return received


def gauges(site: Application) -> list[float]:
    """The gauges of the pool: in use, idle, waiting. They are at most a second old."""
    lines = ask(site.port, "/metrics").content.decode().splitlines()
    values = dict(line.split() for line in lines if line.startswith("database_pool_"))
    series = 'database_pool_{}{{database="default"}}'
    return [float(values[series.format(name)]) for name in ("in_use", "idle", "waiting")]


def hang_up_in_statements(server: PostgreSQL, port: int) -> None:
    """Disconnect while every connection of the pool runs a statement."""
    with closed_gate(server) as gate:
        request = f"GET /api/test/sleep?{gate.query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        with ExitStack() as clients:
            for _ in range(POOL_MAX):
                clients.enter_context(sent_request(port, request, politely=False))
            wait_until(lambda: sleeping(server) == POOL_MAX, "every connection has one to run")
    wait_until(lambda: not sleeping(server), "the statements have ended")


@repeated_if_stalled
def test_no_connection_is_lost_when_clients_disconnect(figures: Callable[[str], None]) -> None:
    everything_idle = [0, POOL_MAX, 0]
    variables = PATIENT_PING | {"DATABASE_POOL_MIN": str(POOL_MAX)}
    # The cursors of the streams stay in memory: a thousand files of 6 MB could make the disk busy
    # for longer than a request waits for a connection.
    with (
        migrated(work_mem="16MB") as server,
        application.serving(server.url(), variables) as site,
        ThreadPoolExecutor(CLIENTS) as clients,
    ):
        wait_until(lambda: gauges(site) == everything_idle, "the pool is filled")
        sessions = set(server.sessions())

        list(clients.map(partial(hang_up_in_request, site.port), range(IN_REQUEST)))
        arrived = list(clients.map(partial(hang_up_in_response, site.port), range(IN_RESPONSE)))
        hang_up_in_statements(server, site.port)
        holders = ask_at_once(site.port, ["/api/test/hold?seconds=0.5"] * POOL_MAX)
        wait_until(lambda: gauges(site) == everything_idle, "everything is idle again")
        kept = sessions & set(server.sessions())
        written = server.execute("SELECT id FROM scratch")

    figures(
        f"{IN_RESPONSE} clients hung up in mid-response, {IN_REQUEST} in mid-request, {POOL_MAX} in"
        f" mid-statement; all connections held {slowest(holders) - 0.5:.2f} s later, and"
        f" {len(kept)} of {POOL_MAX} sessions are the same"
    )
    without_rows = [response for response in arrived if b"xxx" not in response]
    assert not without_rows, f"{len(without_rows)} of {IN_RESPONSE}, such as {without_rows[0]!r}"
    assert not failures(holders), failures(holders)[0]
    assert kept == sessions
    assert not written  # by incomplete requests
    assert_within(slowest(holders) - 0.5, 0.5)
