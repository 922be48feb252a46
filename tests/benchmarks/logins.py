"""Many clients log in at the same time: the effect on readers, and the rate of logins."""

import json
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from statistics import median
from typing import NamedTuple

from argon2 import PasswordHasher

from tests.benchmarks import content, subjects
from tests.benchmarks.kept import site
from tests.benchmarks.report import Row, at_least, at_most
from tests.database.load import Client, Question
from tests.database.servers import PostgreSQL

THREADS = 16  # of each of the two workers
CLIENTS = 64  # twice as many


class Answered(NamedTuple):
    status: int
    seconds: float


class Crowd(NamedTuple):
    reads: list[float]
    """The seconds of each answer to the reader."""
    log_ins: list[Answered]
    seconds: float

    def rate(self) -> float:
        """Successful logins per second."""
        return self.statuses()[200] / self.seconds

    def statuses(self) -> Counter[int]:
        return Counter(answer.status for answer in self.log_ins)

    def refused(self) -> list[float]:
        return [answer.seconds for answer in self.log_ins if answer.status == 429]


def measure(seconds: float) -> list[Row]:
    """Measure logins with one reader beside them, and print all figures."""
    with site("small") as postgresql:
        before = _hashes(postgresql, seconds / 4)
        with subjects.this_project(postgresql, threads=THREADS) as server:
            _read(server.port, 1)
            quiet = _read(server.port, seconds / 4)
            crowd = _crowd(server.port, seconds, patient=True)
            rude = _crowd(server.port, seconds / 2, patient=False)
        # The mean of before and after: other load on the machine may change in between.
        alone = (before + _hashes(postgresql, seconds / 4)) / 2
    print(f"\n{CLIENTS} clients log in; a core alone can hash {alone:.1f} passwords/s\n")
    print(f"{'who is refused':30}  logins/s   429 after   GET /api/tags, median")
    print(f"{'(nobody is there)':62}{median(quiet) * 1e3:8.1f} ms")
    for name, one in (("comes at Retry-After", crowd), ("comes again at once", rude)):
        refused, read = median(one.refused() or [0]), median(one.reads)
        print(f"{name:30}{one.rate():10.1f}{refused * 1e3:9.1f} ms{read * 1e3:18.1f} ms")
    statuses = dict(sorted(crowd.statuses().items()))
    during = f"GET /api/tags, median, {CLIENTS} logins in flight"
    return [
        at_most(during, median(crowd.reads) * 1e3, 5, " ms"),
        at_most(f"{during}, retried at once", median(rude.reads) * 1e3, 20, " ms"),
        at_least("logins/s against what one core can hash", crowd.rate() / alone, 0.8, " x"),
        Row("answers to logins", "200 and 429", f"{statuses}", {*statuses} <= {200, 429}),
    ]


def _crowd(port: int, seconds: float, *, patient: bool) -> Crowd:
    # The crowd runs in another process: its threads would slow the reader down.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes:
        log_ins = processes.submit(log_in, port, seconds, patient)
        time.sleep(1)  # until all clients have started
        reads = _read(port, seconds - 1)
        return Crowd(reads, log_ins.result(), seconds)


def log_in(port: int, seconds: float, patient: bool) -> list[Answered]:
    """The answers to clients that log in repeatedly; `patient` clients wait for Retry-After."""
    end = time.monotonic() + seconds
    with ThreadPoolExecutor(CLIENTS) as threads:
        each = threads.map(lambda number: _log_in(port, number, end, patient), range(CLIENTS))
        return [answer for answers in each for answer in answers]


def _log_in(port: int, number: int, end: float, patient: bool) -> list[Answered]:
    name = f"login{number % content.LOGINS + 1}"
    user = {"email": f"{name}@example.com", "password": content.PASSWORD}
    headers = {"Content-Type": "application/json"}
    body = json.dumps({"user": user}).encode()
    question = Question("POST", "/api/users/login", body, headers)
    # The rate of logins is limited for each address, so each client has its own.
    client, answers = Client(port, f"127.0.1.{number + 1}"), []
    while time.monotonic() < end:
        reply = client.ask(question)
        answers.append(Answered(reply.status, reply.seconds))
        if patient and reply.status == 429:
            time.sleep(min(float(reply.headers["retry-after"]), max(0, end - time.monotonic())))
    client.close()
    return answers


def _read(port: int, seconds: float) -> list[float]:
    """The seconds of each answer; the requests are sequential."""
    client, end, times = Client(port), time.monotonic() + seconds, []
    while time.monotonic() < end:
        reply = client.ask(Question("GET", "/api/tags"))
        assert reply.succeeded, reply
        times.append(reply.seconds)
    client.close()
    return times


def _hashes(postgresql: PostgreSQL, seconds: float) -> float:
    """The passwords per second that one idle core verifies."""
    query = "SELECT password FROM users_user WHERE username = 'login1'"
    kept = postgresql.execute(query)[0][0].removeprefix("argon2")
    started, count = time.monotonic(), 0
    while time.monotonic() < started + seconds:
        PasswordHasher().verify(kept, content.PASSWORD)
        count += 1
    return count / (time.monotonic() - started)
