"""Alice writes, Bob follows Alice, Charlie must not touch."""

import shutil
from collections.abc import Callable, Iterator

import pytest

from articles.models import Article
from database.probe import probe
from tests.builders import follow, make_user, write_article
from tests.client import ApiClient
from users.limits.counters import counters
from users.limits.machine import default_folder
from users.models import User


@pytest.fixture(scope="session", autouse=True)
def _counters_of_this_run() -> Iterator[None]:
    """The file goes with the run."""
    yield
    shutil.rmtree(default_folder(), ignore_errors=True)


@pytest.fixture(autouse=True)
def _rates_from_zero() -> None:
    """No test is throttled for what others have sent."""
    counters.delete_matching("*")


@pytest.fixture(autouse=True)
def _probe_anew() -> Iterator[None]:
    """No test is told of a database what others have seen; and the connection of the probe
    does not keep the database of the tests from being dropped."""
    yield
    probe.close()


@pytest.fixture
def alice(db: None) -> User:
    return make_user("alice")


@pytest.fixture
def bob(alice: User) -> User:
    user = make_user("bob")
    follow(user, alice)
    return user


@pytest.fixture
def charlie(db: None) -> User:
    return make_user("charlie")


@pytest.fixture
def article(alice: User) -> Article:
    return write_article(alice, title="How to train your dragon", tags=("dragons", "training"))


@pytest.fixture
def api() -> Callable[..., ApiClient]:
    """A client for somebody, `api(alice)`, or for nobody, `api()`."""
    return ApiClient
