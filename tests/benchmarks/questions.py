"""The requests of the benchmarks: a path and a reader. `content.py` has the readers and tags."""

from typing import NamedTuple

from tests.benchmarks import content
from tests.benchmarks.subjects import Server
from tests.database.load import Client
from tests.database.load import Question as HttpQuestion

# The header of a proxy in front of the server, because HTTPS is on.
HEADERS = {"X-Forwarded-Proto": "https"}


def headers_of(user_id: int) -> dict[str, str]:
    """The headers with a token of this user. Needs `django.setup()`."""
    from users import tokens  # imports models, so the apps must be loaded

    return HEADERS | {"Authorization": f"Token {tokens.issue(user_id)}"}


class Question(NamedTuple):
    path: str
    reader: str = ""
    """The user of the token; empty means no token."""

    def headers(self) -> dict[str, str]:
        if not self.reader:
            return HEADERS
        return headers_of(content.READERS[self.reader])


LIST = Question("/api/articles?limit=20", "viewer")
BELOVED = Question("/api/articles?tag=beloved&limit=20", "viewer")
PLAIN = Question("/api/articles?tag=plain&limit=20", "viewer")

# The cost of these requests must not grow with the site.
FLAT = {
    "list": LIST,
    "rare tag": Question("/api/articles?tag=rare&limit=20", "viewer"),
    "common tag": Question("/api/articles?tag=common&limit=20", "viewer"),
    "prolific author": Question("/api/articles?author=prolific&limit=20", "viewer"),
    "favorited by a reader of 10,000": Question(
        "/api/articles?favorited=reader-of-10000&limit=20", "viewer"
    ),
    "article": Question("/api/articles/discussed", "viewer"),
    "comments": Question("/api/articles/discussed/comments", "viewer"),
    "feed, 20 followed": Question("/api/articles/feed?limit=20", "follows20"),
    "feed, 500 followed": Question("/api/articles/feed?limit=20", "follows500"),
    "feed, the 35 most prolific": Question("/api/articles/feed?limit=20", "follows-prolific"),
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
    client = Client(server.port)
    try:
        reply = client.ask(HttpQuestion("GET", question.path, headers=question.headers()))
    finally:
        client.close()
    assert reply.succeeded, reply
    return reply.json()
