"""The admin, opened by a superuser."""

from collections.abc import Iterator

import pytest
from django.test import Client

from tests.builders import make_user
from tests.database.servers import PostgreSQL, migrated
from tests.rules.million import MILLION
from users.models import User


@pytest.fixture
def editor(db: None) -> User:
    return make_user("editor", is_staff=True, is_superuser=True)


@pytest.fixture
def site(editor: User) -> Client:
    client = Client()
    client.force_login(editor)
    return client


@pytest.fixture(scope="session")
def million_server() -> Iterator[PostgreSQL]:
    """A site with a million articles, for tests that do not change its rows."""
    settings = {"wal_level": "minimal", "max_wal_senders": 0, "max_wal_size": "4GB"}
    with migrated(autovacuum="off", shared_buffers="512MB", **settings) as server:
        with server.session() as session:
            for statement in MILLION.split(";"):
                session.execute(statement)
        yield server
