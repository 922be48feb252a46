from collections.abc import Iterator

import pytest

from articles.models import Article
from tests.builders import write_comment
from tests.processes import Server, database_url, serving
from users import tokens
from users.models import User

# Programs send more requests than people.
RATES = {
    f"{scope}_RATE": "1000000/minute"
    for scope in ("REGISTER", "LOGIN", "ARTICLE", "COMMENT", "FAVORITE", "FOLLOW")
}


@pytest.fixture
def server(transactional_db: None, article: Article) -> Iterator[Server]:
    """A server with the test database, which has the article of the examples."""
    with serving(DATABASE_URL=database_url(), **RATES) as server:
        yield server


@pytest.fixture
def token(alice: User, bob: User, article: Article) -> str:
    """Alice's token. Bob has commented on her article."""
    write_comment(bob, article)
    return tokens.issue(alice.pk, alice.token_generation)
