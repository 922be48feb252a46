"""Fixtures of the tests in this folder."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.utils.module_loading import autodiscover_modules

from articles.models import Tag
from database.prepared import declared_queries
from tests.database.pools import MakePool, pools
from tests.database.redis_server import RedisServer


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Record measured figures: `pytest -rP` shows them, and the file FAULTS_REPORT keeps them."""

    def note(text: str) -> None:
        line = f"{request.node.name}: {text}"
        print(line)
        if report := os.environ.get("FAULTS_REPORT"):
            with open(report, "a") as file:
                print(line, file=file)

    return note


@pytest.fixture
def make_pool(transactional_db: None) -> Iterator[MakePool]:
    with pools() as make:
        yield make


@pytest.fixture
def tags(db: None) -> None:
    Tag.objects.bulk_create(Tag(name=name) for name in ("css", "java", "python", "rust"))


@pytest.fixture
def nothing_declared() -> Iterator[None]:
    """Only the queries that the test declares are declared."""
    autodiscover_modules("queries")
    before = [*declared_queries]
    declared_queries.clear()
    yield
    declared_queries[:] = before


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is not installed")
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.stop()
