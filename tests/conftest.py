"""Alice writes, Bob follows Alice, Charlie must not touch."""

import shutil
from collections.abc import Callable, Iterator

import pytest
from django.db import connection
from django.test import TransactionTestCase
from pytest_django.plugin import DjangoDbBlocker

from articles.models import Article
from database.health import close_probes
from tests.builders import follow, make_user, write_article
from tests.client import ApiClient
from tests.emptying import delete_rows
from users.limits import file_store
from users.limits.counters import counters
from users.models import User

TransactionTestCase._fixture_teardown = delete_rows  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    """A test with real transactions may end with a TRUNCATE of all tables. In the test database,
    the audit log allows it."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE users_auditentry DISABLE TRIGGER refuse_truncate")


@pytest.fixture(scope="session", autouse=True)
def _delete_counters_file() -> Iterator[None]:
    """Deletes the file of the counters at the end of the run."""
    yield
    shutil.rmtree(file_store.default_folder(), ignore_errors=True)


@pytest.fixture(autouse=True)
def _clear_counters() -> None:
    """Clears the counters, so that a test is not throttled for the requests of other tests."""
    counters.delete_matching("*")


@pytest.fixture
def patient_counters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads wait for the file of the counters as long as it takes. After a shorter time they
    would not be limited, and the test expects exact numbers."""
    monkeypatch.setattr(file_store, "BUSY_TIMEOUT", 60)


@pytest.fixture(autouse=True)
def _reset_probe() -> Iterator[None]:
    """Closes the connection of the probe and forgets its last result.

    A test must not see the result of another test. An open connection would block dropping
    the test database.
    """
    yield
    close_probes()


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
    """`api(alice)` is a client with Alice's token, `api()` a client without a token."""
    return ApiClient
