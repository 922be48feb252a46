"""manage.py verify_counts: it finds wrong counts and repairs them while others write."""

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Now

from articles.counts import CountKind, Tally
from articles.models import Article, Favorite, Tag, Tagging
from tests.builders import like, make_user, write_article
from users.models import User
from users.retries import retry_after_deadlock

pytestmark = pytest.mark.django_db(transaction=True)

RIGHT = "All counts and copies are correct.\n"


def verify(*options: str) -> str:
    output = StringIO()
    call_command("verify_counts", *options, stdout=output)
    return output.getvalue()


def differences() -> str:
    """The output of the command, which must fail."""
    output = StringIO()
    with pytest.raises(CommandError) as failure:
        call_command("verify_counts", stdout=output)
    assert failure.value.returncode == 1
    return output.getvalue()


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.fixture
def favorited_article(article: Article, alice: User, bob: User) -> Article:
    like(alice, article)
    like(bob, article)
    return article


def test_an_empty_database_has_no_differences(db: None) -> None:
    assert verify() == RIGHT


def test_counts_kept_by_triggers_are_right(favorited_article: Article) -> None:
    assert verify() == RIGHT
    assert verify("--verbosity=0") == ""


@pytest.mark.parametrize(
    ("breach", "shown"),
    [
        (
            "UPDATE articles_tally SET count = 7 WHERE counted = 4",
            "article: 1 wrong, for example 7 instead of 2",
        ),
        (
            "UPDATE articles_tally SET count = -1 WHERE counted = 1",
            "articles: 1 wrong, for example -1 instead of 1",
        ),
        (
            "DELETE FROM articles_tally WHERE counted = 5",
            "user: 2 wrong, for example 0 instead of 1",
        ),
        (
            "DELETE FROM articles_tally WHERE counted = 3",
            "author: 1 wrong, for example 0 instead of 1",
        ),
        (
            "DELETE FROM articles_tally WHERE counted = 2",
            "tag: 2 wrong, for example 0 instead of 1",
        ),
        (
            "INSERT INTO articles_tally (counted, key, count) VALUES (2, 0, 5)",
            "tag: 1 wrong, for example 5 instead of 0 (key 0)",
        ),
        ("TRUNCATE articles_tally", "favorites of an article: 1 wrong, for example 0 instead of 2"),
    ],
)
def test_a_wrong_count_is_found_and_repaired(
    favorited_article: Article, breach: str, shown: str
) -> None:
    execute(breach)

    assert shown in differences()
    assert "counts corrected" in verify("--repair")
    assert verify() == RIGHT
    assert not Tally.objects.filter(count__lt=1).exists()


def test_rows_written_without_triggers_are_found(favorited_article: Article, charlie: User) -> None:
    with transaction.atomic():
        execute("ALTER TABLE articles_favorite DISABLE TRIGGER USER")
        like(charlie, favorited_article)
        execute("SET CONSTRAINTS ALL IMMEDIATE")
        execute("ALTER TABLE articles_favorite ENABLE TRIGGER USER")

    report = differences()

    assert "favorites of an article: 1 wrong, for example 2 instead of 3" in report
    assert "favorites of a user: 1 wrong" in report
    assert "copies in favorites: 1 wrong" in report
    assert verify("--repair").splitlines() == [
        "counts corrected: 2",
        "counts merged into one row: 1",
        "copies in favorites corrected: 1",
    ]
    assert verify() == RIGHT


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("tagging", "article_created_at = now()"),
        ("tagging", "article_author_id = 0"),
        ("tagging", "article_hidden = true"),
        ("favorite", "article_created_at = now()"),
        ("favorite", "article_author_id = 0"),
    ],
)
def test_a_wrong_copy_is_found_and_repaired(
    favorited_article: Article, name: str, change: str
) -> None:
    table = f"articles_{name}"
    with transaction.atomic():
        execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        execute(f"UPDATE {table} SET {change}")  # noqa: S608 -- no input
        execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")

    assert f"copies in {name}s: 2 wrong" in differences()
    assert verify("--repair") == f"copies in {name}s corrected: 2\n"
    assert verify() == RIGHT
    row = (Tagging if name == "tagging" else Favorite).objects.all()[0]
    assert (row.article_created_at, row.article_author_id) == (
        favorited_article.created_at,
        favorited_article.author_id,
    )


@pytest.mark.parametrize("wrong", ["{}", "{dragons}", "{training,dragons}", "{dragons,NULL}"])
def test_wrong_tag_names_are_found_and_repaired(
    favorited_article: Article, alice: User, wrong: str
) -> None:
    untagged = write_article(alice)
    with transaction.atomic():
        execute("ALTER TABLE articles_article DISABLE TRIGGER USER")
        execute(
            f"UPDATE articles_article SET tag_names = '{wrong}'"  # noqa: S608 -- no input
            f" WHERE id = {favorited_article.pk}"
        )
        execute(f"UPDATE articles_article SET tag_names = '{{x}}' WHERE id = {untagged.pk}")  # noqa: S608 -- no input
        execute("ALTER TABLE articles_article ENABLE TRIGGER USER")

    line = f"tag names of articles: 2 wrong, for example id {favorited_article.pk}."
    assert line in differences()
    assert verify("--repair") == "tag names of articles corrected: 2\n"
    assert verify() == RIGHT
    favorited_article.refresh_from_db()
    assert favorited_article.tag_names == ["dragons", "training"]


def test_a_count_in_many_rows_is_right_and_is_merged_into_one(favorited_article: Article) -> None:
    of_article = Tally.objects.filter(
        counted=CountKind.FAVORITES_OF_ARTICLE, key=favorited_article.pk
    )
    for change in (5, -3, -2):
        Tally.objects.create(
            counted=CountKind.FAVORITES_OF_ARTICLE, key=favorited_article.pk, count=change
        )
    for change in (1, -1):
        Tally.objects.create(counted=CountKind.FAVORITES_OF_ARTICLE, key=0, count=change)

    assert verify() == RIGHT
    assert verify("--repair") == "counts merged into one row: 2\n"
    assert [tally.count for tally in of_article] == [2]
    assert not Tally.objects.filter(key=0).exclude(counted=CountKind.ARTICLES).exists()


def test_it_changes_nothing_without_repair(favorited_article: Article) -> None:
    Tally.objects.update(count=7)

    differences()

    assert {tally.count for tally in Tally.objects.all()} == {7}


def test_every_kind_of_count_is_compared(favorited_article: Article) -> None:
    assert {*Tally.objects.values_list("counted", flat=True)} == {*CountKind}
    Tally.objects.all().delete()

    report = differences().splitlines()

    assert [line.partition(":")[0] for line in report] == CountKind.labels


def test_all_triggers_that_count_are_enabled(db: None) -> None:
    tables = ("articles_article", "articles_tagging", "articles_favorite")
    events = ("insert", "delete", "update", "truncate")
    with connection.cursor() as cursor:
        cursor.execute("""
            SELECT tgname, tgrelid::regclass::text FROM pg_trigger
            WHERE tgname LIKE '%_tally_%' AND tgenabled = 'O'
        """)
        triggers = dict(cursor.fetchall())

    assert triggers == {
        "users_user_tally_hide": "users_user",
        **{f"{table}_tally_{event}": table for table in tables for event in events},
    }


def test_a_fixture_has_no_counts_and_loaded_rows_are_counted(
    favorited_article: Article, tmp_path: Path
) -> None:
    fixture = str(tmp_path / "all.json")
    call_command("dumpdata", "users", "articles", output=fixture, verbosity=0)
    User.objects.all().delete()
    Tag.objects.all().delete()

    call_command("loaddata", fixture, verbosity=0)

    assert favorited_article.favorites.count() == 2
    assert verify() == RIGHT


def test_counts_that_are_loaded_a_second_time_are_repaired(favorited_article: Article) -> None:
    execute(
        "INSERT INTO articles_tally (counted, key, count)"
        " SELECT counted, key, count FROM articles_tally"
    )

    assert "favorites of an article: 1 wrong, for example 4 instead of 2" in differences()
    verify("--repair")
    assert verify() == RIGHT


def in_thread(call: Callable[[], Any]) -> Any:
    try:
        return call()
    finally:
        connection.close()


def test_a_repair_does_not_wait_and_keeps_uncommitted_changes(
    favorited_article: Article, charlie: User
) -> None:
    """An open transaction has changed a wrong count: the repair keeps this change."""
    Tally.objects.filter(counted=CountKind.FAVORITES_OF_ARTICLE).update(count=7)
    written, repaired = threading.Event(), threading.Event()

    def write() -> None:
        with transaction.atomic():
            like(charlie, favorited_article)
            written.set()
            assert repaired.wait(timeout=20)

    with ThreadPoolExecutor(1) as thread:
        writer = thread.submit(in_thread, write)
        assert written.wait(timeout=20)
        assert "counts corrected: 1" in verify("--repair")
        repaired.set()
        writer.result()

    assert verify() == RIGHT
    assert favorited_article.favorites.count() == 3


def write_at_random(seed: int, until: float) -> int:
    """Do random writes until that time (`time.monotonic()`), and return their number."""
    dice, times = random.Random(seed), 0  # noqa: S311 -- no secret
    me = make_user(f"stormy{seed}")
    for number in range(3):
        make_user(f"{me.username} fan{number}")
    names = ["a", "b", "c", "d"]
    while time.monotonic() < until:
        times += 1
        articles = [*Article.objects.order_by("-pk")[:8]]
        article = dice.choice(articles)
        do = dice.choice(
            [
                *[publish, publish, favorite, favorite, favorite_many, unfavorite, retag, delete],
                *[hide, show, hide_author, show_everybody, rename_tag],
            ]
        )
        # Raised when another thread has deleted the article.
        with suppress(IntegrityError):
            work = partial(do, me, article, dice.sample(names, 2))
            # As in the product: two renames that swap the names of two tags can deadlock, and both
            # the API and the admin repeat such a write.
            retry_after_deadlock(work) if do in (publish, retag, rename_tag) else work()
    return times


def publish(me: User, article: Article, names: list[str]) -> None:
    with transaction.atomic():
        write_article(me, tags=tuple(names))


def favorite(me: User, article: Article, names: list[str]) -> None:
    Favorite.objects.bulk_create([Favorite(user=me, article=article)], ignore_conflicts=True)


def favorite_many(me: User, article: Article, names: list[str]) -> None:
    """So many rows that the triggers count them together, also when an article is deleted."""
    fans = User.objects.filter(username__startswith=f"{me.username} fan")
    # Sorted, because each insert may wait for a deletion: different orders would deadlock.
    articles = sorted(Article.objects.order_by("-pk")[:8], key=lambda article: article.pk)
    Favorite.objects.bulk_create(
        [Favorite(user=fan, article=article) for article in articles for fan in fans],
        ignore_conflicts=True,
    )


def unfavorite(me: User, article: Article, names: list[str]) -> None:
    Favorite.objects.filter(user=me, article=article).delete()


def retag(me: User, article: Article, names: list[str]) -> None:
    with transaction.atomic():
        # Lock as an update of the API does: a deletion then waits before it holds a lock, so the
        # two cannot deadlock.
        tags = Tag.objects.named(names)
        article.lock_tags(tags)
        if Article.objects.filter(pk=article.pk).update(title="Another"):
            article.tags.set(tags)


def rename_tag(me: User, article: Article, names: list[str]) -> None:
    old, new = names
    Tag.objects.filter(name=old).update(name=new)


def delete(me: User, article: Article, names: list[str]) -> None:
    Article.objects.filter(pk=article.pk).delete()


def hide(me: User, article: Article, names: list[str]) -> None:
    Article.objects.filter(pk=article.pk).update(hidden_at=Now())


def show(me: User, article: Article, names: list[str]) -> None:
    Article.objects.filter(pk=article.pk).update(hidden_at=None)


def hide_author(me: User, article: Article, names: list[str]) -> None:
    User.objects.filter(pk=article.author_id).update(hidden_at=Now())


def show_everybody(me: User, article: Article, names: list[str]) -> None:
    for user in User.objects.filter(hidden_at__isnull=False).order_by("pk"):
        User.objects.filter(pk=user.pk).update(hidden_at=None)


def test_every_count_is_right_after_random_simultaneous_writes(favorited_article: Article) -> None:
    """Seven threads write at random while repairs run. A deadlock raises an error, except in writes
    that the product repeats."""
    for _ in range(10):
        write_article(favorited_article.author)
    until = time.monotonic() + 3
    Tally.objects.filter(counted=CountKind.ARTICLES).update(count=1000)
    with ThreadPoolExecutor(7) as threads:
        writers = [
            threads.submit(in_thread, partial(write_at_random, seed, until)) for seed in range(7)
        ]
        while time.monotonic() < until:
            verify("--repair")
        times = sum(writer.result() for writer in writers)

    assert times > 50
    assert verify() == RIGHT
