"""What the tests of faults share."""

import os
from collections.abc import Callable, Iterator

import pytest
from django.utils.module_loading import autodiscover_modules

from articles.models import Tag
from database.prepared import declared_queries
from tests.database.pools import MakePool, pools


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Note what was measured: shown by `pytest -rP`, and kept in the file FAULTS_REPORT names."""

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
    """No query is declared but those that the test itself declares."""
    autodiscover_modules("queries")
    before = [*declared_queries]
    declared_queries.clear()
    yield
    declared_queries[:] = before
