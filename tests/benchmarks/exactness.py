"""Whether counts and tag names are exact after many threads wrote at random."""

import json
import random
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import LiteralString

import psycopg

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
CHECKED = "counts and tag names after {threads} threads wrote for {seconds:g} s"
MAINTAINERS = 2


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


class Maintainer:
    """Renames and merges tags at random, by SQL: the API has no such requests."""

    def __init__(self, url: str, number: int) -> None:
        self.session = psycopg.connect(url, autocommit=True)
        self.random = random.Random(-number)  # noqa: S311 -- no secret

    def write(self) -> str:
        """Returns what was done, or why not."""
        tag, other = self.random.sample(TAGS, 2)
        renamed = f"renamed-{tag}"
        changes: list[Callable[[], str]] = [
            lambda: self._rename(tag, renamed),
            lambda: self._rename(renamed, tag),
            lambda: self._merge(renamed, into=tag),
            lambda: self._merge(tag, into=other),
        ]
        try:
            with self.session.transaction():
                return self.random.choice(changes)()
        except (psycopg.errors.UniqueViolation, psycopg.errors.ForeignKeyViolation):
            return "conflict"  # a writer was faster
        except psycopg.errors.DeadlockDetected:
            return "deadlock"

    def _rename(self, tag: str, name: str) -> str:
        query = "UPDATE articles_tag SET name = %s WHERE name = %s"
        return "renamed" if self.session.execute(query, [name, tag]).rowcount else "no such tag"

    def _merge(self, tag: str, *, into: str) -> str:
        """Move the taggings to the other tag, and delete this one."""
        query = "SELECT name, id FROM articles_tag WHERE name IN (%s, %s) ORDER BY id FOR UPDATE"
        found: dict[str, int] = dict(self.session.execute(query, [tag, into]).fetchall())
        if len(found) < 2:
            return "no such tag"
        ids = {"old": found[tag], "new": found[into]}
        for statement in MERGE:
            self.session.execute(statement, ids)
        return "merged"


# Tags are locked first, then articles, both in the order of their ids, like in other writes
# (`articles/migrations/sql/tag_names.sql`).
MERGE: tuple[LiteralString, ...] = (
    """
    SELECT FROM articles_article
    WHERE id IN (SELECT article_id FROM articles_tagging WHERE tag_id = %(old)s)
    ORDER BY id FOR NO KEY UPDATE
    """,
    """
    UPDATE articles_tagging AS tagging SET tag_id = %(new)s
    WHERE tag_id = %(old)s AND NOT EXISTS (
        SELECT FROM articles_tagging WHERE article_id = tagging.article_id AND tag_id = %(new)s
    )
    """,
    "DELETE FROM articles_tag WHERE id = %(old)s",
)


def check(seconds: float) -> list[Row]:
    with site("small") as postgresql, copied(postgresql, "written") as url:
        with (
            subjects.this_project(postgresql, url) as server,
            ThreadPoolExecutor(THREADS + MAINTAINERS) as threads,
        ):
            end = time.monotonic() + seconds
            maintained = threads.map(lambda number: _maintain(url, number, end), range(MAINTAINERS))
            written = threads.map(lambda number: _write(server.port, number, end), range(THREADS))
            statuses, done = sum(written, Counter[int]()), sum(maintained, Counter[str]())
        verified = manage(url, "verify_counts", seconds=300)
    said = " ".join(verified.stdout.split()) or verified.stderr
    print(f"\n{statuses.total()} writes, statuses {dict(statuses)}; tags: {dict(done)}; {said}")
    assert done["renamed"], done
    assert done["merged"], done
    failures = sum(count for status, count in statuses.items() if not 200 <= status < 500)
    reached = "all exact" if verified.returncode == 0 else "not exact"
    if failures:
        reached += f", but {failures} answers had a status of 500 or more, or none"
    what = CHECKED.format(threads=THREADS, seconds=seconds)
    return [Row(what, "all exact", reached, reached == "all exact")]


def _write(port: int, number: int, end: float) -> Counter[int]:
    writer = Writer(port, number)
    statuses = Counter[int]()
    while time.monotonic() < end:
        reply = writer.write()
        statuses[reply.status] += 1
        if not 200 <= reply.status < 500:
            print(reply)
    writer.client.close()
    return statuses


def _maintain(url: str, number: int, end: float) -> Counter[str]:
    maintainer = Maintainer(url, number)
    done = Counter[str]()
    while time.monotonic() < end:
        done[maintainer.write()] += 1
        time.sleep(0.05)
    maintainer.session.close()
    return done
