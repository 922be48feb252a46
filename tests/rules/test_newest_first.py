"""Triggers copy the time and the author of an article into its taggings and favorites."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, models, transaction
from django.test.utils import CaptureQueriesContext

from articles.demo.tables import copy
from articles.models import Article, Favorite, Tag, Tagging
from database.errors import is_foreign_key_violation
from tests.builders import like, write_article
from tests.database.servers import migrated
from tests.processes import run_forked
from tests.races import wait_for_blocked_connection
from users.models import User

EARLIER = datetime(2001, 2, 3, 4, 5, 6, 789, tzinfo=UTC)


def wrong_copies() -> list[models.Model]:
    """The rows whose copies differ from their article."""
    return [
        row
        for model in (Tagging, Favorite)
        for row in model._default_manager.select_related("article")
        if (row.article_created_at, row.article_author_id)
        != (row.article.created_at, row.article.author_id)
    ]


@pytest.fixture
def listed_article(article: Article, bob: User) -> Article:
    """An article of Alice with two tags, which Bob favorited."""
    like(bob, article)
    return article


def test_a_new_row_has_the_copies_at_once(article: Article, bob: User) -> None:
    favorite = like(bob, article)

    assert (favorite.article_created_at, favorite.article_author_id) == (
        article.created_at,
        article.author_id,
    )
    assert Tagging.objects.count() == 2
    assert not wrong_copies()


def test_the_triggers_overwrite_supplied_values(article: Article, bob: User) -> None:
    favorite = Favorite(
        user=bob, article=article, article_created_at=EARLIER, article_author_id=bob.pk
    )
    Favorite.objects.bulk_create([favorite])
    Tagging.objects.update(article_created_at=EARLIER, article_author=bob)

    assert not wrong_copies()


def test_rows_written_by_copy_get_the_copies_too(article: Article, bob: User) -> None:
    copy(Favorite, ("user", "article", "created_at"), [(bob.pk, article.pk, EARLIER)])

    assert Favorite.objects.count() == 1
    assert not wrong_copies()


def test_the_copies_change_with_the_article(listed_article: Article, charlie: User) -> None:
    other = write_article(charlie, tags=("other",))

    Article.objects.filter(pk=listed_article.pk).update(created_at=EARLIER)
    assert not wrong_copies()

    Article.objects.filter(pk=listed_article.pk).update(author=charlie)
    assert not wrong_copies()

    Article.objects.update(created_at=models.F("created_at") + timedelta(days=1))
    assert not wrong_copies()
    assert {*Favorite.objects.values_list("article_created_at")} == {(EARLIER + timedelta(days=1),)}
    assert other.taggings.count() == 1


def test_the_copies_change_when_the_row_moves_to_another_article(
    listed_article: Article, charlie: User
) -> None:
    other = write_article(charlie, created_at=EARLIER)

    Tagging.objects.update(article=other)
    Favorite.objects.update(article=other)

    assert not wrong_copies()


def test_an_edit_of_the_article_does_not_write_the_copies(listed_article: Article) -> None:
    with connection.cursor() as cursor:
        rows = "SELECT ctid FROM articles_tagging UNION ALL SELECT ctid FROM articles_favorite"
        before = cursor.execute(rows).fetchall()
        listed_article.title = "Another title"
        listed_article.save()

        assert cursor.execute(rows).fetchall() == before


def test_a_missing_article_violates_the_foreign_key(bob: User) -> None:
    def write() -> None:
        Favorite.objects.create(user=bob, article_id=1)
        connection.check_constraints()  # as a commit does

    with pytest.raises(IntegrityError) as refusal, transaction.atomic():
        write()

    assert is_foreign_key_violation(refusal.value)


def test_lists_are_sorted_without_a_join(listed_article: Article) -> None:
    with CaptureQueriesContext(connection) as statements:
        assert [*Favorite.objects.newest_first().values_list("article")] == [(listed_article.pk,)]
        assert len(Tagging.objects.newest_first().values_list("article")) == 2

    assert not any("JOIN" in statement["sql"] for statement in statements)


def while_uncommitted(change: Callable[[], Any], other: Callable[[], Any]) -> None:
    """Run `other` on another connection after the change; it waits for the commit."""

    def run_and_close() -> None:
        try:
            other()
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=1) as thread:
        with transaction.atomic():
            change()
            waiting = thread.submit(run_and_close)
            wait_for_blocked_connection()
        waiting.result()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("moved_first", [True, False])
def test_a_row_written_while_its_article_changes_gets_the_new_copies(
    article: Article, bob: User, charlie: User, moved_first: bool
) -> None:
    def move() -> None:
        Article.objects.filter(pk=article.pk).update(created_at=EARLIER, author=charlie)

    def write() -> None:
        like(bob, article)
        Tagging.objects.create(article=article, tag=Tag.objects.create(name="late"))

    if moved_first:
        while_uncommitted(move, write)
    else:
        while_uncommitted(write, move)

    assert Tagging.objects.count() == 3
    assert {*Favorite.objects.values_list("article_created_at", "article_author")} == {
        (EARLIER, charlie.pk)
    }
    assert not wrong_copies()


OLD_ROWS = """
    INSERT INTO users_user (id, password, is_superuser, email, email_folded, username,
        username_folded, is_active, is_staff, created_at)
        SELECT id, '!', false, id, id, id, id, true, false, now() FROM generate_series(1, 2) AS id;
    INSERT INTO articles_article
        (id, author_id, created_at, updated_at, slug, title, description, body)
        SELECT id, 1 + id / 5, '2001-02-03'::date + id, now(), id, 'a', 'b', 'c'
        FROM generate_series(1, 9) AS id;
    INSERT INTO articles_tag (id, name) VALUES (1, 'a'), (2, 'b');
    INSERT INTO articles_tagging (article_id, tag_id)
        SELECT article, tag FROM generate_series(1, 9) AS article, generate_series(1, 2) AS tag;
    INSERT INTO articles_favorite (user_id, article_id, created_at)
        SELECT reader, article, now()
        FROM generate_series(1, 2) AS reader, generate_series(1, 9) AS article;
"""
WRONG_COPIES = """
    SELECT rows.id FROM articles_article AS article, LATERAL (
        SELECT id, article_created_at, article_author_id FROM articles_tagging
            WHERE article_id = article.id
        UNION ALL SELECT id, article_created_at, article_author_id FROM articles_favorite
            WHERE article_id = article.id
    ) AS rows
    WHERE (rows.article_created_at, rows.article_author_id)
        IS DISTINCT FROM (article.created_at, article.author_id)
"""


def test_the_migration_fills_in_existing_rows_and_can_be_reversed() -> None:
    with migrated() as server:

        def migrate(name: str) -> None:
            process = run_forked(
                "manage.py", "migrate", "articles", name, DATABASE_URL=server.url()
            )
            assert process.returncode == 0, process.stderr

        migrate("0001")
        server.execute(OLD_ROWS)
        migrate("0006")

        assert server.execute("SELECT count(*) FROM articles_favorite") == [(18,)]
        assert server.execute(WRONG_COPIES) == []
        server.execute("UPDATE articles_article SET created_at = now() WHERE id < 3")
        assert server.execute(WRONG_COPIES) == []
