"""Clients that do not finish their body occupy few threads, each for a limited time."""

import json
import select
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import pytest

from tests.database.application import Application, serving
from tests.database.load import Client, Question, Reply, ask, failures, slowest
from tests.database.servers import PostgreSQL, migrated, wait_until
from tests.stalls import assert_within, repeated_if_stalled

pytestmark = pytest.mark.faults

SLOW = 60
TIMEOUT = 3.0  # seconds
HALF_A_BODY = (
    b"POST /api/users/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b'Content-Length: 500\r\n\r\n{"user":'
)
READS = ["/livez", "/readyz", "/api/articles", "/api/tags"]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    with migrated() as server:
        yield server


@pytest.fixture(scope="module")
def site(server: PostgreSQL) -> Iterator[Application]:
    variables = {"SERVER_BODY_TIMEOUT": str(TIMEOUT)}
    with serving(server.url(), variables, workers=2, threads=16) as site:
        yield site


@contextmanager
def slow_clients(port: int, number: int = SLOW) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        clients = []
        for _ in range(number):
            client = socket.create_connection(("127.0.0.1", port), timeout=30)
            clients.append(stack.enter_context(client))
        for client in clients:
            client.sendall(HALF_A_BODY)
        yield clients


def answer_to(client: socket.socket) -> tuple[int, Any, float]:
    """The status, the content, and the time when the response was complete."""
    with HTTPResponse(client) as response:
        response.begin()
        content = json.loads(response.read())
    return response.status, content, time.monotonic()


def threads_of(site: Application) -> int:
    """The number of threads of all workers."""
    status = [Path(f"/proc/{pid}/status").read_text() for pid in site.workers()]
    return sum(int(text.partition("Threads:")[2].split()[0]) for text in status)


def post(port: int, number: int, address: str = "127.0.0.1", size: int = 2_000) -> Reply:
    client = Client(port, address)
    try:
        headers = {"Content-Type": "application/json"}
        body = json.dumps({"text": "x" * size}).encode()
        return client.ask(Question("POST", f"/api/test/write?id={number}", body, headers))
    finally:
        client.close()


@repeated_if_stalled
def test_slow_bodies_delay_no_read_and_no_probe(site: Application) -> None:
    started = time.monotonic()
    with slow_clients(site.port) as clients, ThreadPoolExecutor(SLOW) as waiting:
        answers = [waiting.submit(answer_to, client) for client in clients]
        replies = [ask(site.port, path) for path in READS]
        while time.monotonic() < started + TIMEOUT - 0.5:
            replies += [ask(site.port, path) for path in READS]
        results = [answer.result() for answer in answers]

    assert not failures(replies), failures(replies)[0]
    for status, content, ended in results:
        assert (status, content) == (408, {"errors": {"body": ["was not received in time"]}})
        assert ended - started > TIMEOUT - 0.1
    assert_within(slowest(replies), 1)
    assert_within(max(ended for _, _, ended in results) - started, TIMEOUT + 2)


@repeated_if_stalled
def test_a_body_that_arrives_byte_by_byte_has_the_same_timeout(site: Application) -> None:
    started = time.monotonic()
    with slow_clients(site.port, 1) as [client]:
        client.settimeout(0.1)
        answer = b""
        while not answer and time.monotonic() < started + TIMEOUT + 5:
            try:
                answer = client.recv(10_000)
            except TimeoutError:
                client.sendall(b"x")

    seconds = time.monotonic() - started
    assert b" 408 " in answer.splitlines()[0]
    assert seconds > TIMEOUT - 0.1
    assert_within(seconds, TIMEOUT + 2)


@pytest.mark.parametrize("slow", [0, SLOW])
def test_a_burst_of_complete_bodies_is_not_refused(
    site: Application, server: PostgreSQL, slow: int
) -> None:
    server.execute("DELETE FROM scratch")
    start = threading.Barrier(150)

    def one(number: int) -> Reply:
        start.wait()
        return post(site.port, number)

    with slow_clients(site.port, slow), ThreadPoolExecutor(150) as clients:
        replies = list(clients.map(one, range(150)))

    refused = [reply for reply in failures(replies) if reply.status in (408, 429)]
    assert not refused, refused[0]


def test_the_threads_of_slow_bodies_are_used_again(site: Application) -> None:
    def threads_with_slow_clients() -> int:
        with slow_clients(site.port) as clients, ThreadPoolExecutor(SLOW) as waiting:
            list(waiting.map(answer_to, clients))
            return threads_of(site)

    first = threads_with_slow_clients()
    for _ in range(2):
        # Each worker keeps 16 idle threads, and gets another share of the clients each time.
        assert threads_with_slow_clients() <= first + 2 * 16 + SLOW // 2


def test_bodies_over_the_limit_are_refused_at_once(server: PostgreSQL) -> None:
    with (
        serving(server.url(), {"SERVER_MAX_BODIES": "5"}) as site,
        slow_clients(site.port, 8) as clients,
    ):

        def answered() -> int:
            return len(select.select(clients, [], [], 0)[0])

        # The fifth slot is kept for another address.
        wait_until(lambda: answered() == 4, "four are awaited", 8)
        refused = post(site.port, 1)

        assert refused.json() == {"errors": {"request": ["was throttled"]}}
        assert refused.headers["retry-after"] == "1"
        assert not failures([ask(site.port, path) for path in READS])


def test_one_address_leaves_room_for_other_addresses(
    server: PostgreSQL,
) -> None:
    with (
        serving(server.url(), {"SERVER_BODY_TIMEOUT": "1"}) as site,
        slow_clients(site.port, 400) as clients,
    ):
        answers = Counter(answer_to(client)[0] for client in clients)

        assert answers == {408: 192, 429: 208}
        assert post(site.port, 1).status == 429
        replies = [post(site.port, number, "127.0.0.2") for number in range(2, 10)]
        assert not failures(replies), failures(replies)[0]


def test_waiting_bodies_need_little_memory(server: PostgreSQL) -> None:
    """The limit is 64 MiB per process, and one address cannot use all of it."""
    head = HALF_A_BODY.partition(b"Content-Length")[0] + b"Content-Length: 2500000\r\n\r\n"
    with (
        serving(server.url(), {"SERVER_BODY_TIMEOUT": "3"}) as site,
        ExitStack() as stack,
        ThreadPoolExecutor(40) as waiting,
    ):

        def send(_: int) -> int:
            client = socket.create_connection(("127.0.0.1", site.port), timeout=30)
            stack.enter_context(client)
            with suppress(ConnectionError):  # the server refuses before the body is complete
                client.sendall(head + b" " * 2_499_999)
            return answer_to(client)[0]

        answers = [waiting.submit(send, number) for number in range(40)]
        wait_until(lambda: sum(answer.done() for answer in answers) >= 20, "half are refused")
        reply = post(site.port, 1, "127.0.0.2")
        statuses = Counter(answer.result() for answer in answers)

    assert reply.status == 201, reply
    assert set(statuses) == {408, 429}
    assert statuses[408] * 2_500_000 < 48 * 1024 * 1024


def test_the_memory_of_a_body_is_released(server: PostgreSQL) -> None:
    server.execute("DELETE FROM scratch")
    with serving(server.url()) as site:
        replies = [post(site.port, number, size=2_500_000) for number in range(40)]

    assert not failures(replies), failures(replies)[0]


@repeated_if_stalled
def test_the_server_stops_in_time_with_slow_bodies(server: PostgreSQL) -> None:
    variables = {"SERVER_BODY_TIMEOUT": "2", "SERVER_GRACE": "5", "SERVER_DRAIN_DELAY": "1"}
    with (
        serving(server.url(), variables, workers=2, threads=16) as site,
        slow_clients(site.port) as clients,
    ):
        answer_to(clients[0])
        signalled = time.monotonic()
        site.process.send_signal(signal.SIGTERM)

        assert site.process.wait(20) == 0
        assert_within(time.monotonic() - signalled, 1 + 5 + 2)
