"""Whether every count is exact after many threads wrote at random."""

import json
import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from tests.benchmarks import content, subjects
from tests.benchmarks.kept import copied, manage, site
from tests.benchmarks.questions import headers_of
from tests.benchmarks.report import Row
from tests.database.load import Client, Question, Reply

THREADS = 16
# Few readers, articles and tags, so that the writers change the same counts.
READERS = range(content.PEOPLE + 1, content.PEOPLE + 41)
ARTICLES = range(1_000, 1_020)
TAGS = [f"tag{number}" for number in range(5, 13)]
CHECKED = "counts after {threads} threads wrote at random for {seconds:g} s"


class Writer:
    """A client that favorites, publishes, changes tags and deletes at random."""

    def __init__(self, port: int, number: int) -> None:
        self.client = Client(port)
        self.random = random.Random(number)  # noqa: S311 -- no secret
        self.own: list[str] = []
        self.user = READERS[number]

    def write(self) -> Reply:
        actions = [self.favorite, self.favorite, self.unfavorite, self.publish]
        if self.own:
            actions += [self.retag, self.delete]
        return self.random.choice(actions)()

    def favorite(self) -> Reply:
        return self._ask("POST", f"/{self._any_article()}/favorite")

    def unfavorite(self) -> Reply:
        return self._ask("DELETE", f"/{self._any_article()}/favorite")

    def publish(self) -> Reply:
        article = {
            "title": "Any",
            "description": "of them",
            "body": "Any.",
            "tagList": self._tags(),
        }
        reply = self._ask("POST", "", article)
        if reply.succeeded:
            self.own.append(reply.json()["article"]["slug"])
        return reply

    def retag(self) -> Reply:
        return self._ask("PUT", f"/{self.random.choice(self.own)}", {"tagList": self._tags()})

    def delete(self) -> Reply:
        return self._ask("DELETE", f"/{self.own.pop()}")

    def _any_article(self) -> str:
        return self.random.choice([f"article-number-{n}" for n in ARTICLES] + self.own)

    def _tags(self) -> list[str]:
        return self.random.sample(TAGS, self.random.randrange(4))

    def _ask(self, method: str, path: str, article: object = None) -> Reply:
        headers = headers_of(self.user)
        body = None
        if article is not None:
            headers = headers | {"Content-Type": "application/json"}
            body = json.dumps({"article": article}).encode()
        return self.client.ask(Question(method, f"/api/articles{path}", body, headers))


def check(seconds: float) -> list[Row]:
    with site("small") as postgresql, copied(postgresql, "written") as url:
        with (
            subjects.this_project(postgresql, url) as server,
            ThreadPoolExecutor(THREADS) as threads,
        ):
            end = time.monotonic() + seconds
            each = threads.map(lambda number: _write(server.port, number, end), range(THREADS))
            statuses = sum(each, Counter[int]())
        verified = manage(url, "verify_counts", seconds=300)
    said = " ".join(verified.stdout.split()) or verified.stderr
    print(f"\n{statuses.total()} writes, statuses {dict(statuses)}; verify_counts: {said}")
    what = CHECKED.format(threads=THREADS, seconds=seconds)
    failures = sum(count for status, count in statuses.items() if status >= 500)
    reached = "all exact" if verified.returncode == 0 else "not exact"
    if failures:
        reached += f", but {failures} answers had a status of 500 or more"
    return [Row(what, "all exact", reached, reached == "all exact")]


def _write(port: int, number: int, end: float) -> Counter[int]:
    writer = Writer(port, number)
    statuses = Counter[int]()
    while time.monotonic() < end:
        statuses[writer.write().status] += 1
    writer.client.close()
    return statuses
