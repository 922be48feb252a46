"""What `manage.py export_articles` promises; tests/database/test_export.py has the memory it
takes, the moment it sees and the time it has."""

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
def in_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.settings_dict, "DISABLE_SERVER_SIDE_CURSORS", True)


@pytest.fixture(params=["through a cursor", "in pages"])
def both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two articles at a time."""
    monkeypatch.setattr(export_articles, "CHUNK", 2)
    if request.param == "in pages":
        request.getfixturevalue("in_pages")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "articles.jsonl"


def exported(file: Path) -> list[dict[str, Any]]:
    call_command("export_articles", output=file, verbosity=0)
    return [json.loads(line) for line in file.read_bytes().splitlines()]


@pytest.mark.usefixtures("both_ways")
def test_it_writes_what_the_api_shows(alice: User, bob: User, file: Path) -> None:
    article = write_article(alice, title="Über 東京 \u2028", tags=("b", "a", "Z"))
    like(alice, article)
    like(bob, article)
    shown = ApiClient().get(f"/api/articles/{article.slug}").json()["article"]

    (line,) = exported(file)

    assert shown.pop("favorited") is False
    assert line == shown | {"author": "alice"}
    assert line["tagList"] == ["Z", "a", "b"]
    assert line["favoritesCount"] == 2


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("count", [0, 1, 2, 3, 5])
def test_every_article_comes_once_in_the_order_of_writing(
    alice: User, bob: User, file: Path, count: int
) -> None:
    slugs = [write_article((alice, bob)[number % 2]).slug for number in range(count)]

    assert [line["slug"] for line in exported(file)] == slugs


@pytest.mark.parametrize("count", [1, 20])
def test_through_a_cursor_it_is_one_statement_for_all(
    alice: User, file: Path, count: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    write_articles(alice, count)

    # The cursor; before it, what lifts the two time-outs; around them, the savepoint that a
    # transaction is within a test.
    with django_assert_num_queries(1 + 2 + 2):
        exported(file)


@pytest.mark.usefixtures("in_pages")
@pytest.mark.parametrize(("count", "pages"), [(1, 1), (20, 1), (99, 1), (101, 2)])
def test_in_pages_it_is_one_statement_for_a_hundred(
    alice: User,
    file: Path,
    count: int,
    pages: int,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    write_articles(alice, count)

    # A page that is not full is followed by an empty one.
    with django_assert_num_queries(pages + 1):
        exported(file)


def write_articles(author: User, count: int) -> None:
    for _ in range(count):
        write_article(author, tags=("a", "b"))


def test_it_says_how_many_there_are(
    article: Article, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("export_articles", output=file)

    assert capsys.readouterr().out == f"Articles in {file}: 1.\n"


def test_a_new_file_takes_the_place_of_an_older_one(article: Article, file: Path) -> None:
    file.write_text("of yesterday\n" * 100)
    link = file.with_name("latest")
    link.symlink_to(file)

    assert len(exported(link)) == 1

    assert len(file.read_bytes().splitlines()) == 1
    assert link.is_symlink()
    assert {path.name for path in file.parent.iterdir()} == {"articles.jsonl", "latest"}


def test_a_failure_leaves_the_older_file_as_it_was(
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


def test_what_is_no_file_is_not_replaced(article: Article, tmp_path: Path) -> None:
    queue = tmp_path / "queue"
    os.mkfifo(queue)

    for path in (queue, tmp_path):
        with pytest.raises(CommandError, match="is not a file"):
            exported(path)

    assert queue.is_fifo()


def test_a_folder_that_is_not_there_is_named(article: Article, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"No such file or directory: .*/nowhere/articles"):
        exported(tmp_path / "nowhere" / "articles")


def test_the_standard_output_is_utf_8_whatever_the_locale(alice: User, file: Path) -> None:
    write_article(alice, title="Über 東京")

    with file.open("w", encoding="ascii") as out:
        call_command("export_articles", stdout=out)

    assert "Über 東京".encode() in file.read_bytes()


def test_a_reader_that_leaves_ends_it_quietly(
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
