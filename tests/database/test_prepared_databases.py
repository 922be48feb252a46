"""Prepared queries in a project with two databases."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import pytest_django
from django.core.checks import Tags, run_checks
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, connections
from django.db.models import QuerySet
from psycopg.conninfo import conninfo_to_dict

from articles.models import Tag
from database.backend import DatabaseWrapper, database_wrapper
from database.prepared import Slice, prepared, sliced
from database.serving import problems
from database.settings.url import DJANGO_NAMES
from tests.database.declared import TagRow
from tests.database.servers import PostgreSQL, migrated

PREPARED = "SELECT statement FROM pg_prepared_statements"


def newest_tags(limit: int) -> QuerySet[Tag]:
    return sliced(Tag.objects.order_by("-pk"), limit=limit)


class Servers(NamedTuple):
    default: PostgreSQL
    archive: PostgreSQL


@pytest.fixture
def servers(
    nothing_declared: None, django_db_blocker: pytest_django.DjangoDbBlocker
) -> Iterator[Servers]:
    """Two servers: the databases `default` and `archive` of the project."""
    connection.close()
    with (
        migrated() as default,
        migrated() as archive,
        django_db_blocker.unblock(),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(DatabaseWrapper, "_connection_pools", {})
        for name, value in settings_of(default).items():
            patch.setitem(connection.settings_dict, name, value)
        second = connection.settings_dict | settings_of(archive)
        patch.setitem(connections.settings, "archive", second)
        yield Servers(default, archive)
        for alias in ("default", "archive"):
            database_wrapper(alias).close()
            database_wrapper(alias).close_pool()
        del connections["archive"]


def settings_of(server: PostgreSQL) -> dict[str, Any]:
    parts = conninfo_to_dict(server.url())
    address = {name: str(parts[key]) for name, key in DJANGO_NAMES.items()}
    return address | {"OPTIONS": {"pool": {"min_size": 1, "max_size": 2}}}


def test_a_query_reads_the_database_of_its_declaration(servers: Servers) -> None:
    @prepared(TagRow, using="archive")
    def archived(*, limit: Slice = 20) -> QuerySet[Tag]:
        return newest_tags(limit)

    @prepared(TagRow)
    def current(*, limit: Slice = 20) -> QuerySet[Tag]:
        return newest_tags(limit)

    servers.default.execute("INSERT INTO articles_tag (name) VALUES ('current')")
    servers.archive.execute("INSERT INTO articles_tag (name) VALUES ('old'), ('older')")

    assert current() == [("current",)]
    assert archived() == [("older",), ("old",)]
    assert archived(limit=1) == list(archived.queryset(limit=1)) == [("older",)]
    with connections["archive"].cursor() as cursor:
        cursor.execute(PREPARED)
        assert len(cursor.fetchall()) == 2


def test_a_model_as_row_knows_its_database(servers: Servers) -> None:
    @prepared(Tag, using="archive")
    def archived() -> QuerySet[Tag]:
        return Tag.objects.all()

    servers.archive.execute("INSERT INTO articles_tag (name) VALUES ('old')")
    (tag,) = archived()

    assert tag._state.db == "archive"


def test_a_query_is_checked_in_its_database_only(servers: Servers) -> None:
    @prepared(TagRow, using="archive", indexes=["tag_once"])
    def archived() -> QuerySet[Tag]:
        return newest_tags(20)

    @prepared(TagRow, indexes=["tag_once"])
    def current() -> QuerySet[Tag]:
        return newest_tags(20)

    def errors(*databases: str) -> list[str]:
        return [str(error.msg) for error in run_checks(tags=[Tags.database], databases=databases)]

    assert errors("default", "archive") == []

    servers.archive.execute("ALTER TABLE articles_tag RENAME name TO label")
    sentence = f"{archived.name}: column articles_tag.name does not exist"

    assert errors("archive") == [sentence]
    assert errors("default", "archive") == [sentence]
    assert errors("default") == []
    found = [problem.text for problem in problems(workers=1, threads=1, patience=10)]
    assert found[-1] == f"Database 'archive': {sentence}"
    assert not any(current.name in text for text in found)


@pytest.mark.django_db
def test_a_query_for_a_database_without_this_backend_is_found(
    nothing_declared: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    @prepared(TagRow, using="lite")
    def archived() -> QuerySet[Tag]:
        return newest_tags(20)

    lite = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
    databases: dict[str, Any] = {"default": {}, "lite": lite}
    connections.configure_settings(databases)  # adds Django's defaults
    monkeypatch.setitem(connections.settings, "lite", databases["lite"])
    sentence = f"{archived.name}: DATABASES has no 'lite' with the ENGINE 'database.backend'"

    (error,) = run_checks(tags=[Tags.database], databases=["default"])
    found = [problem.text for problem in problems(workers=1, threads=1, patience=10)]
    with pytest.raises(ImproperlyConfigured, match=r"'lite'\] needs the ENGINE 'database.backend'"):
        archived()

    assert error.msg == sentence
    assert found == [sentence]
    del connections["lite"]


def test_dbcheck_needs_a_database_of_this_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "settings", {})

    (problem,) = problems(workers=1, threads=1, patience=10)

    assert problem.text == "DATABASES has no database with the ENGINE 'database.backend'."
    assert problem.exit_status == 78
