"""The writes of the API, each for other users and articles, and what they cost."""

import json
import random
import re
import subprocess
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from tests.benchmarks import content
from tests.benchmarks.questions import headers_of
from tests.benchmarks.scale.figures import WriteCost
from tests.benchmarks.subjects import Server
from tests.database.load import Client, Question, Reply
from tests.database.servers import PostgreSQL

CLIENTS = 8
# The numbers of articles and users are random, so nearly each write touches other pages of the
# indexes of favorites and comments: this is the most WAL that a write can cause.
_random = random.Random(1)  # noqa: S311 -- no secret

type Write = Callable[[PostgreSQL], Question]

BODY = content.TEXT[:1_000]
# The time that the startup process needs to replay the WAL after a crash. A standby replays the
# same WAL with the same code.
REDO = re.compile(r"redo done at .* user: ([\d.]+) s, system: ([\d.]+) s")
TOTAL = re.compile(r"^Total\s+\d+\s+(\d+) \[[\d.]+%\]\s+(\d+) ", re.MULTILINE)


def article(postgresql: PostgreSQL) -> Question:
    number = _random.randrange(10**12)
    tags = [f"tag{_random.randrange(*ends)}" for ends in ((5, 24), (24, 104), (104, 1_000))]
    fields = {
        "title": f"Written for the benchmark {number}",
        "description": "About nothing",
        "body": BODY,
        "tagList": tags,
    }
    return _question("POST", "/api/articles", {"article": fields})


def edit(postgresql: PostgreSQL) -> Question:
    query = "SELECT slug, author_id FROM articles_article WHERE id = %s"
    ((slug, author),) = postgresql.execute(query, [_article()])
    fields = {"article": {"body": f"{_random.random()} {BODY}"}}
    return _question("PUT", f"/api/articles/{slug}", fields, author)


def comment(postgresql: PostgreSQL) -> Question:
    path = f"/api/articles/article-number-{_article()}/comments"
    return _question("POST", path, {"comment": {"body": BODY[:200]}})


def favorite(postgresql: PostgreSQL) -> Question:
    return _question("POST", f"/api/articles/article-number-{_article()}/favorite")


def follow(postgresql: PostgreSQL) -> Question:
    return _question("POST", f"/api/profiles/user{_user()}/follow")


WRITES: dict[str, Write] = {
    "article": article,
    "edit": edit,
    "comment": comment,
    "favorite": favorite,
    "follow": follow,
}


def cost_of(name: str, server: Server, times: int) -> WriteCost:
    """Writes `times` times after a checkpoint, then crashes PostgreSQL to measure the replay.

    The CPU time is that of the cheapest fourth: other programs on the machine make it larger.
    """
    postgresql = server.postgresql
    write = WRITES[name]
    part = times // 4
    _run(server, [write(postgresql) for _ in range(part)])  # warms up
    postgresql.execute("CHECKPOINT")
    first = _lsn(postgresql)
    spent = []
    for _ in range(4):
        questions = [write(postgresql) for _ in range(part)]
        before = server.cpu()
        _run(server, questions)
        spent.append(server.cpu() - before)
    plain, images = _wal(postgresql, first, _lsn(postgresql))
    api, database = (min(each) / part * 1e6 for each in zip(*spent, strict=True))
    return WriteCost(
        api, database, _replay(postgresql) / times * 1e6, plain / times, images / times
    )


def _article() -> int:
    return _random.randrange(5, 1_000_000)  # `large` has so many; the fourth has another slug


def _user() -> int:
    return _random.randrange(content.PEOPLE + 1, content.SIZES["large"].users)


def _question(
    method: str, path: str, body: Mapping[str, object] | None = None, user: int = 0
) -> Question:
    content, headers = _json(body or {})
    return Question(method, path, content, {**headers, **headers_of(user or _user())})


def _json(body: Mapping[str, object]) -> tuple[bytes, dict[str, str]]:
    return json.dumps(body).encode(), {"Content-Type": "application/json"}


def _run(server: Server, questions: list[Question]) -> None:
    def ask(part: list[Question]) -> list[Reply]:
        client = Client(server.port)
        replies = [client.ask(question) for question in part]
        client.close()
        return replies

    parts = [questions[start::CLIENTS] for start in range(CLIENTS)]
    with ThreadPoolExecutor(CLIENTS) as threads:
        failed = [r for replies in threads.map(ask, parts) for r in replies if not r.succeeded]
    assert len(failed) <= len(questions) / 100, failed[:3]  # a user may follow himself


def _lsn(postgresql: PostgreSQL) -> str:
    return str(postgresql.execute("SELECT pg_current_wal_insert_lsn()")[0][0])


def _wal(postgresql: PostgreSQL, first: str, last: str) -> tuple[int, int]:
    """The bytes of records and of full page images between the positions."""
    postgresql.execute("SELECT pg_switch_wal()")
    command = [str(postgresql.kind.programs / "pg_waldump"), "--stats", f"--start={first}"]
    command += [f"--end={last}", f"--path={postgresql.folder}/data/pg_wal"]
    text = subprocess.check_output(command, text=True)  # noqa: S603 -- PostgreSQL's own program
    found = TOTAL.search(text)
    assert found, text
    return int(found[1]), int(found[2])


def _replay(postgresql: PostgreSQL) -> float:
    """The CPU time of the replay since the last checkpoint, in seconds."""
    postgresql.kill()
    postgresql.start()
    (*_, last) = REDO.findall(postgresql.log.read_text())
    return sum(map(float, last))
