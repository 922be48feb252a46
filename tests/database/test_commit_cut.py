"""The connection breaks during a commit: no write is done twice, and a client that sent an
`Idempotency-Key` gets the outcome."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, LiteralString, NamedTuple
from uuid import uuid4

import pytest

from database.requests.middleware import MAX_ATTEMPTS
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
    """A kind of object that a POST creates; a test finds it by its text."""

    noun: str
    path: str
    texts: LiteralString
    commit: bytes
    """The bytes of the statement that commits it without a key."""

    def question(self, text: str, **headers: str) -> Question:
        content = {"title": "Dragons", "description": "What they eat", "body": text}
        return posting(self.path, {self.noun: content}, **headers)


ARTICLE = Kind("article", "/api/articles", "SELECT body FROM articles_article", COMMIT)
COMMENT = Kind(
    "comment",
    "/api/articles/dragons/comments",
    "SELECT body FROM articles_comment",
    b'INSERT INTO "articles_comment"',  # a single statement without a transaction
)

every_kind = pytest.mark.parametrize("kind", [ARTICLE, COMMENT], ids=["article", "comment"])
commit_arrives_or_not = pytest.mark.parametrize("arrives", [True, False], ids=["done", "undone"])


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
    """The token of Alice, who wrote the article `dragons`."""
    user = client.ask(posting("/api/users", {"user": ALICE})).json()["user"]
    token = f"Token {user['token']}"
    article = client.ask(ARTICLE.question("They eat knights.", Authorization=token))
    assert article.json()["article"]["slug"] == "dragons"
    return token


def lose_commits(proxy: Proxy, commit: bytes, text: str, answers: int, *, arrives: bool) -> None:
    """Cut the connections of the next `answers` commits of transactions that write `text`."""
    proxy.commit, proxy.text, proxy.commits_arrive = commit, text.encode(), arrives
    proxy.lost_commits = answers


@every_kind
@commit_arrives_or_not
def test_a_write_without_a_key_is_not_repeated_and_its_outcome_is_unknown(
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
        lose_commits(proxy, kind.commit, text, 1, arrives=arrives)
        replies.append(client.ask(kind.question(text, Authorization=token)))
        assert proxy.lost_commits == 0

    rows = count_rows(server, kind, texts)
    figures(f"{answers(replies)}; {rows.total()} rows of {TIMES}, {count_duplicates(rows)} doubled")
    assert all(is_outcome_unknown(reply) for reply in replies)
    assert rows == Counter(texts if arrives else [])


@every_kind
@commit_arrives_or_not
@pytest.mark.parametrize(
    ("lost", "status"), [(1, 201), (MAX_ATTEMPTS, 503)], ids=["once", "every-try"]
)
def test_a_write_with_a_key_is_done_once_and_answered_the_same(
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
        lose_commits(proxy, COMMIT, text, lost, arrives=arrives)
        firsts.append(client.ask(question))
        assert proxy.lost_commits == 0
        seconds.append(client.ask(question))
        thirds.append(client.ask(question))

    rows = count_rows(server, kind, texts)
    keys = Counter(key for (key,) in server.execute("SELECT key FROM database_idempotencykey"))
    figures(
        f"first {answers(firsts)}, then {answers(seconds)} and {answers(thirds)};"
        f" {rows.total()} rows for {TIMES} keys, {count_duplicates(rows)} doubled"
    )
    assert rows == Counter(texts)
    assert all(keys[text] == 1 for text in texts)
    assert {reply.status for reply in firsts} == {status}
    assert all(reply.succeeded or is_outcome_unknown(reply) for reply in firsts)
    for first, second, third in zip(firsts, seconds, thirds, strict=True):
        assert (second.status, second.content) == (third.status, third.content)
        assert second.status == 201
        assert first.content == second.content or first.status == 503


def count_rows(server: PostgreSQL, kind: Kind, texts: list[str]) -> Counter[str]:
    """The number of rows of each text."""
    return Counter(text for (text,) in server.execute(kind.texts) if text in texts)


def count_duplicates(rows: Counter[str]) -> int:
    return sum(count > 1 for count in rows.values())


def answers(replies: list[Reply]) -> str:
    counts = Counter(reply.status for reply in replies)
    return " and ".join(f"{count} x {status}" for status, count in counts.items())


def is_outcome_unknown(reply: Reply) -> bool:
    unknown = (reply.status, reply.json()) == (503, OUTCOME_UNKNOWN)
    return unknown and "retry-after" not in reply.headers
