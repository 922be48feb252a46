"""The connection is cut when a write is committed, and the answer never arrives: nothing is
there twice, and whoever sends an `Idempotency-Key` learns what became of it."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, LiteralString, NamedTuple
from uuid import uuid4

import pytest

from database.requests.middleware import TRIES
from tests.database import application
from tests.database.application import Application
from tests.database.load import Client, Question, Reply
from tests.database.proxy import COMMIT, Proxy
from tests.database.servers import PostgreSQL, migrated

pytestmark = pytest.mark.faults

TIMES = 20
OUTCOME_UNKNOWN = {"errors": {"database": ["outcome is unknown"]}}
ALICE = {"username": "alice", "email": "alice@example.com", "password": "correct horse"}


class Kind(NamedTuple):
    """Something that is written by a POST, and known by its text."""

    noun: str
    path: str
    texts: LiteralString
    commit: bytes
    """What makes it last, on its way to PostgreSQL, where there is no key."""

    def question(self, text: str, **headers: str) -> Question:
        content = {"title": "Dragons", "description": "What they eat", "body": text}
        return posting(self.path, {self.noun: content}, **headers)


ARTICLE = Kind("article", "/api/articles", "SELECT body FROM articles_article", COMMIT)
COMMENT = Kind(
    "comment",
    "/api/articles/dragons/comments",
    "SELECT body FROM articles_comment",
    b'INSERT INTO "articles_comment"',  # a single statement, and no transaction around it
)

every_kind = pytest.mark.parametrize("kind", [ARTICLE, COMMENT], ids=["article", "comment"])
whether_it_arrives = pytest.mark.parametrize("arrives", [True, False], ids=["done", "undone"])


def posting(path: str, content: Any, **headers: str) -> Question:
    body = json.dumps(content).encode()
    return Question("POST", path, body, {"Content-Type": "application/json"} | headers)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    with migrated() as server:
        yield server


@pytest.fixture(scope="module")
def proxy(server: PostgreSQL) -> Iterator[Proxy]:
    with Proxy(server.host, server.port) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def site(server: PostgreSQL, proxy: Proxy) -> Iterator[Application]:
    url = server.url().replace(f":{server.port}/", f":{proxy.port}/")
    with application.serving(url) as site:
        yield site


@pytest.fixture(scope="module")
def client(site: Application) -> Iterator[Client]:
    client = Client(site.port)
    yield client
    client.close()


@pytest.fixture(scope="module")
def token(client: Client) -> str:
    """Alice's, who has written an article on dragons."""
    user = client.ask(posting("/api/users", {"user": ALICE})).json()["user"]
    token = f"Token {user['token']}"
    article = client.ask(ARTICLE.question("They eat knights.", Authorization=token))
    assert article.json()["article"]["slug"] == "dragons"
    return token


def loses(proxy: Proxy, commit: bytes, answers: int, *, arrives: bool) -> None:
    """Cut the next connections on which something is committed, so many of them."""
    proxy.commit, proxy.commits_arrive, proxy.lost_commits = commit, arrives, answers


@every_kind
@whether_it_arrives
def test_nothing_is_there_twice_and_nobody_is_told_to_try_again(
    kind: Kind,
    arrives: bool,
    server: PostgreSQL,
    proxy: Proxy,
    client: Client,
    token: str,
    figures: Callable[[str], None],
) -> None:
    texts = [str(uuid4()) for _ in range(TIMES)]
    replies = []
    for text in texts:
        loses(proxy, kind.commit, 1, arrives=arrives)
        replies.append(client.ask(kind.question(text, Authorization=token)))
        assert proxy.lost_commits == 0

    rows = there(server, kind, texts)
    figures(f"{answers(replies)}; {rows.total()} rows of {TIMES}, {doubled(rows)} doubled")
    assert all(is_unknown(reply) for reply in replies)
    assert rows == Counter(texts if arrives else [])


@every_kind
@whether_it_arrives
@pytest.mark.parametrize(("lost", "status"), [(1, 201), (TRIES, 503)], ids=["once", "every-try"])
def test_under_a_key_it_is_there_once_and_answered_the_same(
    kind: Kind,
    arrives: bool,
    lost: int,
    status: int,
    server: PostgreSQL,
    proxy: Proxy,
    client: Client,
    token: str,
    figures: Callable[[str], None],
) -> None:
    texts = [str(uuid4()) for _ in range(TIMES)]
    firsts, seconds, thirds = [], [], []
    for text in texts:
        question = kind.question(text, Authorization=token, **{"Idempotency-Key": text})
        loses(proxy, COMMIT, lost, arrives=arrives)
        firsts.append(client.ask(question))
        assert proxy.lost_commits == 0
        seconds.append(client.ask(question))
        thirds.append(client.ask(question))

    rows = there(server, kind, texts)
    keys = Counter(key for (key,) in server.execute("SELECT key FROM database_idempotencykey"))
    figures(
        f"first {answers(firsts)}, then {answers(seconds)} and {answers(thirds)};"
        f" {rows.total()} rows for {TIMES} keys, {doubled(rows)} doubled"
    )
    assert rows == Counter(texts)
    assert all(keys[text] == 1 for text in texts)
    assert {reply.status for reply in firsts} == {status}
    assert all(reply.succeeded or is_unknown(reply) for reply in firsts)
    for first, second, third in zip(firsts, seconds, thirds, strict=True):
        assert (second.status, second.content) == (third.status, third.content)
        assert second.status == 201
        assert first.content == second.content or first.status == 503


def there(server: PostgreSQL, kind: Kind, texts: list[str]) -> Counter[str]:
    """How often each text is in the database."""
    return Counter(text for (text,) in server.execute(kind.texts) if text in texts)


def doubled(rows: Counter[str]) -> int:
    return sum(count > 1 for count in rows.values())


def answers(replies: list[Reply]) -> str:
    counts = Counter(reply.status for reply in replies)
    return " and ".join(f"{count} x {status}" for status, count in counts.items())


def is_unknown(reply: Reply) -> bool:
    unknown = (reply.status, reply.json()) == (503, OUTCOME_UNKNOWN)
    return unknown and "retry-after" not in reply.headers
