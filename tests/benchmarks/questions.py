"""The requests of the benchmarks: a path and a reader. `content.py` has the readers and tags."""

from typing import NamedTuple

from tests.benchmarks import content
from tests.benchmarks.subjects import Server
from tests.database.load import Client, Reply
from tests.database.load import Question as HttpQuestion


def headers_of(user_id: int) -> dict[str, str]:
    """The headers with a token of this user. Needs `django.setup()`."""
    from users import tokens  # imports models, so the apps must be loaded

    return {"Authorization": f"Token {tokens.issue(user_id)}"}


class Question(NamedTuple):
    path: str
    reader: int = 0
    """The id of the user of the token; 0 means no token."""

    def headers(self) -> dict[str, str]:
        return headers_of(self.reader) if self.reader else {}


VIEWER = content.READERS["viewer"]
LIST = Question("/api/articles?limit=20", VIEWER)
BELOVED = Question("/api/articles?tag=beloved&limit=20", VIEWER)
PLAIN = Question("/api/articles?tag=plain&limit=20", VIEWER)

# The cost of these requests must not grow with the site.
FLAT = {
    "list": LIST,
    "rare tag": Question("/api/articles?tag=rare&limit=20", VIEWER),
    "common tag": Question("/api/articles?tag=common&limit=20", VIEWER),
    "prolific author": Question("/api/articles?author=prolific&limit=20", VIEWER),
    "favorited by a reader of 10,000": Question(
        "/api/articles?favorited=reader-of-10000&limit=20", VIEWER
    ),
    "article": Question("/api/articles/discussed", VIEWER),
    "comments": Question("/api/articles/discussed/comments", VIEWER),
    "feed, 20 followed": Question("/api/articles/feed?limit=20", content.READERS["follows20"]),
    "feed, 500 followed": Question("/api/articles/feed?limit=20", content.READERS["follows500"]),
    "feed, the 35 most prolific": Question(
        "/api/articles/feed?limit=20", content.READERS["follows-prolific"]
    ),
}

# Public reads, requested with a token and without.
READS = (
    "/api/articles?limit=20",
    "/api/articles?tag=common&limit=20",
    "/api/articles?author=prolific&limit=20",
    "/api/articles?favorited=reader-of-1000&limit=20",
    "/api/articles?tag=common&author=prolific&limit=20",
    "/api/articles/discussed",
    "/api/articles/discussed/comments",
    "/api/profiles/prolific",
    "/api/tags",
)
# These reads need a token.
PRIVATE_READS = ("/api/articles/feed?limit=20", "/api/user")


def answer(server: Server, question: Question) -> object:
    """The JSON of the answer, which must be a success."""
    return _reply(server, question).json()


def next_page(server: Server, question: Question) -> str:
    """The path of the page after this one, from the header `Link`."""
    url = _reply(server, question).headers["link"].partition(">")[0]
    return url.partition(f"127.0.0.1:{server.port}")[2]


def _reply(server: Server, question: Question) -> Reply:
    client = Client(server.port)
    try:
        reply = client.ask(HttpQuestion("GET", question.path, headers=question.headers()))
    finally:
        client.close()
    assert reply.succeeded, reply
    return reply
