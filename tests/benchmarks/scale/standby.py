"""The CPU of a read that is checked on a standby, compared with the same read on the primary."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from tests.benchmarks import rounds, subjects
from tests.benchmarks.costs import cpu_of
from tests.benchmarks.generator import ask
from tests.benchmarks.questions import Question
from tests.benchmarks.subjects import Server
from tests.database.clusters import DATABASE
from tests.database.servers import PostgreSQL

ROUNDS = 6


def ratios(
    primary: PostgreSQL, redis_port: int, questions: dict[str, Question]
) -> dict[str, float]:
    """By read: the CPU of server and PostgreSQL, divided by that without reads on standbys."""
    redis = f"redis://127.0.0.1:{redis_port}/0"
    with (
        following(primary) as standby,
        subjects.this_project(primary, CACHE_URL=redis) as off,
        subjects.this_project(
            primary, _url(primary, standby), CACHE_URL=redis, DATABASE_REPLICA_READS="on"
        ) as on,
    ):
        found = {}
        for name, question in questions.items():
            pairs = [
                [_cpu(server, standby, question) for server in (on, off)] for _ in range(ROUNDS)
            ]
            found[name] = round(median(one / other for one, other in pairs), 2)
        return found


@contextmanager
def following(primary: PostgreSQL) -> Iterator[PostgreSQL]:
    """A standby of the primary."""
    with TemporaryDirectory(prefix="standby-") as folder:
        copy = Path(folder, "data")
        command = [str(primary.kind.programs / "pg_basebackup"), f"--dbname={primary.url()}"]
        command += [f"--pgdata={copy}", "--write-recovery-conf", "--checkpoint=fast", "--no-sync"]
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603 -- PostgreSQL's own
        standby = PostgreSQL(shared_buffers="1GB")
        standby.kind, standby.template = primary.kind, lambda _: copy
        with standby:
            yield standby


def _url(*servers: PostgreSQL) -> str:
    account = servers[0].url().rpartition("@")[0]
    hosts = ",".join(f"{server.host}:{server.port}" for server in servers)
    return f"{account}@{hosts}/{DATABASE}?target_session_attrs=read-write"


def _cpu(server: Server, standby: PostgreSQL, question: Question) -> float:
    """Microseconds of a request, in the server, the primary and the standby."""
    postmaster = (standby.folder / "data/postmaster.pid").read_text().split()[0]
    before = sum(server.cpu()) + cpu_of(postmaster)
    outcome = ask(
        server.port, question.path, seconds=2, clients=rounds.CLIENTS, headers=question.headers()
    )
    return (sum(server.cpu()) + cpu_of(postmaster) - before) / outcome.requests * 1e6
