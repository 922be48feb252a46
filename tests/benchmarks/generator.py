"""The load generator: clients that repeat one request as soon as it is answered.

It runs `wrk` if it is installed. Otherwise it runs processes of this project, which use about as
much CPU as a fast server: the rates are then lower, and the CPU time per request is the same as
with `wrk`.
"""

import re
import selectors
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from statistics import quantiles
from typing import NamedTuple

PROCESSES = 2  # of the project's own generator
UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


class Outcome(NamedTuple):
    requests: int
    seconds: float
    p50: float
    """Both percentiles are in seconds."""
    p99: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


def ask(
    port: int, path: str, *, seconds: float, clients: int, headers: Mapping[str, str] = {}
) -> Outcome:
    """Raises AssertionError if any answer is not a success."""
    if shutil.which("wrk"):
        return _by_wrk(port, path, seconds, clients, headers)
    lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    question = "\r\n".join([*lines, "", ""]).encode()
    each = -(-clients // PROCESSES)
    # A fork would be unsafe: this process has threads.
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as processes:
        asked = [
            processes.submit(request_repeatedly, port, question, seconds, each)
            for _ in range(PROCESSES)
        ]
        times = [taken for answers in asked for taken in answers.result()]
    cuts = quantiles(times, n=100)
    return Outcome(len(times), seconds, cuts[49], cuts[98])


def _by_wrk(
    port: int, path: str, seconds: float, clients: int, headers: Mapping[str, str]
) -> Outcome:
    options = ["--threads=1", f"--connections={clients}", f"--duration={seconds:.0f}s"]
    for name, value in headers.items():
        options += ["--header", f"{name}: {value}"]
    command = ["wrk", "--latency", *options, f"http://127.0.0.1:{port}{path}"]
    process = subprocess.run(  # noqa: S603 -- a load generator, against this machine
        command,
        capture_output=True,
        check=True,
        text=True,
        timeout=seconds + 30,
    )
    said = process.stdout
    assert "Non-2xx" not in said, said
    assert "Socket errors" not in said, said
    counted = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s)", said)
    latencies = dict(re.findall(r"(50|99)%\s+([\d.]+(?:us|ms|s))", said))
    assert counted, said
    return Outcome(
        int(counted[1]),
        float(counted[2]) * UNITS[counted[3]],
        _seconds(latencies["50"]),
        _seconds(latencies["99"]),
    )


def _seconds(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()  # type: ignore[union-attr]
    return float(number) * UNITS[unit]


def request_repeatedly(port: int, question: bytes, seconds: float, clients: int) -> list[float]:
    """Send the request repeatedly from one process; return the seconds of each answer."""
    times: list[float] = []
    connections: dict[int, socket.socket] = {}
    with selectors.DefaultSelector() as selector:
        for _ in range(clients):
            connection = socket.create_connection(("127.0.0.1", port))
            connection.sendall(question)
            connections[connection.fileno()] = connection
            selector.register(connection, selectors.EVENT_READ, [time.monotonic(), b""])
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for key, _ in selector.select(timeout=1):
                connection, (asked, before) = connections[key.fd], key.data
                received = before + connection.recv(1 << 20)
                if not is_whole(received):
                    key.data[1] = received
                    continue
                now = time.monotonic()
                times.append(now - asked)
                key.data[:] = now, b""
                connection.sendall(question)
        for connection in connections.values():
            connection.close()
    return times


def is_whole(received: bytes) -> bool:
    head, found, body = received.partition(b"\r\n\r\n")
    if not found:
        assert received, "the server closed the connection"
        return False
    assert head.startswith(b"HTTP/1.1 2"), received[:500]
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    assert length, head
    return len(body) >= int(length[1])
