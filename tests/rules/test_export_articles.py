"""`manage.py export_articles`; tests/database/test_export.py tests its memory, its snapshot and
its timeouts."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from pytest_django import DjangoAssertNumQueries

from articles.management.commands import export_articles
from articles.models import Article
from tests.builders import like, write_article
from tests.client import ApiClient
from users.models import User

pytestmark = pytest.mark.django_db


@pytest.fixture
def without_cursors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.settings_dict, "DISABLE_SERVER_SIDE_CURSORS", True)


@pytest.fixture(params=["through a cursor", "in pages"])
def cursor_or_pages(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to read the articles, with two articles at a time."""
    monkeypatch.setattr(export_articles, "CHUNK", 2)
    if request.param == "in pages":
        request.getfixturevalue("without_cursors")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "articles.jsonl"


def exported(file: Path) -> list[dict[str, Any]]:
    call_command("export_articles", output=file, verbosity=0)
    return [json.loads(line) for line in file.read_bytes().splitlines()]


@pytest.mark.usefixtures("cursor_or_pages")
def test_it_writes_the_fields_that_the_api_shows(alice: User, bob: User, file: Path) -> None:
    article = write_article(alice, title="Über 東京 \u2028", tags=("b", "a", "Z"))
    like(alice, article)
    like(bob, article)
    shown = ApiClient().get(f"/api/articles/{article.slug}").json()["article"]

    (line,) = exported(file)

    assert shown.pop("favorited") is False
    assert line == shown | {"author": "alice"}
    assert line["tagList"] == ["Z", "a", "b"]
    assert line["favoritesCount"] == 2


@pytest.mark.usefixtures("cursor_or_pages")
@pytest.mark.parametrize("count", [0, 1, 2, 3, 5])
def test_every_article_is_exported_once_in_the_order_of_creation(
    alice: User, bob: User, file: Path, count: int
) -> None:
    slugs = [write_article((alice, bob)[number % 2]).slug for number in range(count)]

    assert [line["slug"] for line in exported(file)] == slugs


@pytest.mark.parametrize("count", [1, 20])
def test_a_cursor_needs_one_query_for_all_articles(
    alice: User, file: Path, count: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    write_articles(alice, count)

    # Two statements that turn off the timeouts, and the cursor; around them SAVEPOINT and RELEASE,
    # which are BEGIN and COMMIT outside of a test.
    with django_assert_num_queries(1 + 2 + 2):
        exported(file)


@pytest.mark.usefixtures("without_cursors")
@pytest.mark.parametrize(("count", "pages"), [(1, 1), (20, 1), (99, 1), (101, 2)])
def test_pages_need_one_query_for_a_hundred_articles(
    alice: User,
    file: Path,
    count: int,
    pages: int,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    write_articles(alice, count)

    # The last query finds no more articles.
    with django_assert_num_queries(pages + 1):
        exported(file)


def write_articles(author: User, count: int) -> None:
    for _ in range(count):
        write_article(author, tags=("a", "b"))


def test_it_prints_the_number_of_articles(
    article: Article, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("export_articles", output=file)

    assert capsys.readouterr().out == f"Articles in {file}: 1.\n"


def test_a_new_file_replaces_an_older_one(article: Article, file: Path) -> None:
    file.write_text("an older line\n" * 100)
    link = file.with_name("latest")
    link.symlink_to(file)

    assert len(exported(link)) == 1

    assert len(file.read_bytes().splitlines()) == 1
    assert link.is_symlink()
    assert {path.name for path in file.parent.iterdir()} == {"articles.jsonl", "latest"}


def test_a_failure_does_not_change_the_older_file(
    article: Article, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(row: object) -> bytes:
        raise KeyboardInterrupt

    file.write_text("of yesterday\n")
    monkeypatch.setattr(export_articles, "_line", interrupted)

    with pytest.raises(CommandError, match=r"^Interrupted\.$"):
        exported(file)

    assert file.read_text() == "of yesterday\n"
    assert list(file.parent.iterdir()) == [file]


def test_a_path_that_is_not_a_file_is_not_replaced(article: Article, tmp_path: Path) -> None:
    queue = tmp_path / "queue"
    os.mkfifo(queue)

    for path in (queue, tmp_path):
        with pytest.raises(CommandError, match="is not a file"):
            exported(path)

    assert queue.is_fifo()


def test_a_missing_folder_is_reported(article: Article, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"No such file or directory: .*/nowhere/articles"):
        exported(tmp_path / "nowhere" / "articles")


def test_the_standard_output_is_utf_8_in_every_locale(alice: User, file: Path) -> None:
    write_article(alice, title="Über 東京")

    with file.open("w", encoding="ascii") as out:
        call_command("export_articles", stdout=out)

    assert "Über 東京".encode() in file.read_bytes()


def test_a_closed_pipe_ends_the_command_without_an_error_message(
    article: Article, capfd: pytest.CaptureFixture[str]
) -> None:
    reading, writing = os.pipe()
    os.close(reading)

    with open(writing, "w") as out, pytest.raises(SystemExit) as end:
        call_command("export_articles", stdout=out)

    assert end.value.code == 141
    assert capfd.readouterr() == ("", "")


def test_a_full_disk_is_an_error(article: Article) -> None:
    with open("/dev/full", "w") as out, pytest.raises(CommandError, match="No space left"):
        call_command("export_articles", stdout=out)
