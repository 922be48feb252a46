"""Deletions of any size: small ones at once, large ones in batches, with exact counts."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models.functions import Now

from articles.models import Article, Comment, Favorite, Tag, Tagging
from profiles.models import Follow
from tests.builders import follow, like, make_user, write_article, write_comment
from tests.client import ApiClient
from tests.database.servers import wait_until
from users import deletion, queue_worker
from users.deletion import BATCH, SMALL, Deletion, counts_below
from users.models import User

Api = Callable[..., ApiClient]
pytestmark = pytest.mark.django_db(transaction=True)  # verify_counts starts transactions

MANY = 2 * BATCH + 100  # comments: three batches


def write_many_comments(author: User, article: Article, number: int = MANY) -> None:
    Comment.objects.bulk_create(
        Comment(
            author=author,
            article=article,
            body="A comment",
            created_at=article.created_at,
            updated_at=article.created_at,
        )
        for _ in range(number)
    )


def counts_are_right() -> bool:
    output = StringIO()
    call_command("verify_counts", stdout=output)
    return "All counts and copies are correct" in output.getvalue()


@pytest.fixture
def large(article: Article, alice: User, bob: User, charlie: User) -> Article:
    """Alice's article with many comments of Charlie and a favorite of each user, and an article
    of Bob."""
    write_many_comments(charlie, article)
    for reader in (alice, bob, charlie):
        like(reader, article)
    other = write_article(bob, title="Of Bob", tags=("dragons",))
    like(alice, other)
    like(charlie, other)
    follow(alice, bob)
    write_comment(alice, other)
    return article


def test_a_small_article_is_deleted_by_the_request(
    api: Api, alice: User, bob: User, article: Article
) -> None:
    write_many_comments(bob, article, 50)

    assert api(alice).delete(f"/api/articles/{article.slug}").status_code == 204

    assert not Article.objects.exists()
    assert not Comment.objects.exists()
    assert not Deletion.objects.exists()


def test_a_large_article_is_hidden_from_the_api_at_once(
    api: Api, alice: User, bob: User, charlie: User, large: Article
) -> None:
    path = f"/api/articles/{large.slug}"

    assert api(alice).delete(path).status_code == 204

    assert Article.objects.get(pk=large.pk).hidden_at is not None
    assert api(alice).get(path).status_code == 404
    assert api(alice).delete(path).status_code == 404
    assert api().get("/api/articles").json()["articlesCount"] == 1
    assert api().get("/api/articles?author=alice").json()["articlesCount"] == 0
    assert api().get("/api/articles?favorited=charlie").json()["articlesCount"] == 1
    assert api().get("/api/articles?tag=dragons").json()["articlesCount"] == 1
    assert api().get("/api/tags").json() == {"tags": ["dragons"]}
    assert api(bob).get("/api/articles/feed").json() == {"articles": [], "articlesCount": 0}
    assert counts_are_right()


def test_the_queue_deletes_everything_that_belongs_to_an_article(
    api: Api, alice: User, large: Article
) -> None:
    api(alice).delete(f"/api/articles/{large.slug}")

    queue_worker.worker.empty_queues()

    assert [article.title for article in Article.objects.all()] == ["Of Bob"]
    assert Comment.objects.count() == Tagging.objects.count() == 1
    assert Favorite.objects.count() == 2
    assert not Deletion.objects.exists()
    assert counts_are_right()


def test_a_large_user_is_deactivated_and_hidden_from_the_api_at_once(
    api: Api, alice: User, bob: User, large: Article
) -> None:
    token = api(alice)

    assert not deletion.delete(User.objects.filter(pk=alice.pk))

    assert not User.objects.get(pk=alice.pk).is_active
    assert token.get("/api/user").status_code == 401
    assert api().get("/api/profiles/alice").status_code == 404
    assert api().get(f"/api/articles/{large.slug}").status_code == 404
    assert api().get("/api/articles").json()["articlesCount"] == 1
    assert api().get("/api/articles/of-bob/comments").json() == {"comments": []}
    assert counts_are_right()


def test_the_queue_deletes_everything_that_belongs_to_a_user(
    alice: User, bob: User, large: Article
) -> None:
    deletion.delete(User.objects.filter(pk=alice.pk))

    queue_worker.worker.empty_queues()

    assert {*User.objects.values_list("username", flat=True)} == {"bob", "charlie"}
    assert [article.title for article in Article.objects.all()] == ["Of Bob"]
    assert not Comment.objects.exists()
    assert [*Favorite.objects.values_list("user__username", flat=True)] == ["charlie"]
    assert not Follow.objects.exists()
    assert counts_are_right()


def test_an_interrupted_deletion_continues_after_its_lease_has_expired(
    alice: User, large: Article
) -> None:
    deletion.delete(Article.objects.filter(pk=large.pk))
    first = Deletion.objects.claim()
    assert first is not None
    batches = first.run()
    deleted = next(batches)
    while deleted < BATCH:
        deleted += next(batches)

    assert Deletion.objects.claim() is None
    Deletion.objects.update(claimed_until=Now() - timedelta(seconds=1))
    second = Deletion.objects.claim()

    assert second is not None
    # The article itself, its taggings, favorites and comments.
    assert sum(second.run()) == 1 + 2 + 3 + MANY - deleted
    assert counts_are_right()


def test_a_tag_of_any_size_is_deleted(alice: User, article: Article) -> None:
    tag = Tag.objects.get(name="dragons")
    articles = [
        Article(
            author=alice,
            slug=f"slug-{number}",
            title="A title",
            description="About it",
            body="A text",
            updated_at=article.created_at,
        )
        for number in range(SMALL + 1)
    ]
    Tagging.objects.bulk_create(
        Tagging(article=each, tag=tag) for each in Article.objects.bulk_create(articles)
    )

    assert not deletion.delete(Tag.objects.filter(pk=tag.pk))
    queue_worker.worker.empty_queues()

    assert not Tag.objects.filter(name="dragons").exists()
    assert Article.objects.count() == SMALL + 2
    assert counts_are_right()


def test_many_small_rows_are_queued_together(alice: User) -> None:
    for _ in range(3):
        write_article(alice)
    write_many_comments(alice, Article.objects.latest("pk"), SMALL)

    assert not deletion.delete(Article.objects.all())

    assert Deletion.objects.count() == 3
    assert not Article.objects.visible().exists()
    queue_worker.worker.empty_queues()
    assert not Article.objects.exists()
    assert counts_are_right()


def test_a_row_is_queued_only_once(large: Article) -> None:
    for _ in range(2):
        deletion.delete(Article.objects.filter(pk=large.pk))

    assert Deletion.objects.count() == 1


def test_counting_stops_at_the_limit(large: Article) -> None:
    counts = counts_below(Article.objects.filter(pk=large.pk), 10)

    assert counts[Comment] == 11
    assert counts[Favorite] == 3
    assert counts[Article] == 1


def in_thread(call: Callable[[], None]) -> None:
    try:
        call()
    finally:
        connection.close()


def test_two_workers_share_the_queue(alice: User, bob: User) -> None:
    for number in range(6):
        write_many_comments(bob, write_article(alice, title=f"Title {number}"), SMALL)
    deletion.delete(Article.objects.all())
    together = threading.Barrier(2)

    def work() -> None:
        together.wait(timeout=20)
        queue_worker.worker.empty_queues()

    with ThreadPoolExecutor(2) as threads:
        for each in [threads.submit(in_thread, work) for _ in range(2)]:
            each.result()

    assert not Article.objects.exists()
    assert not Deletion.objects.exists()
    assert counts_are_right()


@pytest.fixture
def worker(db: None) -> Iterator[queue_worker.QueueWorker]:
    worker = queue_worker.QueueWorker()
    worker.ensure_running()
    yield worker
    worker.stop()


def test_the_worker_deletes_what_is_queued(
    worker: queue_worker.QueueWorker, large: Article
) -> None:
    deletion.delete(Article.objects.filter(pk=large.pk))

    wait_until(lambda: not Deletion.objects.exists(), "the queue is empty")

    assert not Article.objects.filter(pk=large.pk).exists()
    assert counts_are_right()


def test_a_stopped_worker_ends_after_its_batch_and_another_continues(
    worker: queue_worker.QueueWorker, alice: User, bob: User
) -> None:
    for number in range(30):
        write_many_comments(bob, write_article(alice, title=f"Title {number}"), SMALL)
    deletion.delete(Article.objects.all())
    wait_until(lambda: Comment.objects.count() < 30 * SMALL, "the deletion has begun")

    worker.stop()

    left = Comment.objects.count()
    assert left > 0
    queue_worker.QueueWorker().empty_queues()
    assert not Article.objects.exists()
    assert counts_are_right()


def test_a_failed_deletion_does_not_stop_the_worker(
    worker: queue_worker.QueueWorker, large: Article
) -> None:
    Deletion.objects.create(model="articles.nothing", row_id=1)  # raises LookupError

    deletion.delete(Article.objects.filter(pk=large.pk))

    wait_until(lambda: not Article.objects.filter(pk=large.pk).exists(), "the article is deleted")
    assert Deletion.objects.count() == 1


def test_delete_user_deletes_a_user_with_everything(large: Article) -> None:
    output = StringIO()

    call_command("delete_user", "ALICE@example.com", "--noinput", stdout=output)

    assert not User.objects.filter(username="alice").exists()
    deleted = output.getvalue().removeprefix("Deleted alice: ").removesuffix(".\n")
    assert set(deleted.split(", ")) == {
        "1 articles",
        "1 users",
        f"{MANY + 1:,} comments",
        "2 follows",
        "2 taggings",
        "4 favorites",
    }
    assert not Deletion.objects.exists()
    assert counts_are_right()


def test_delete_article_deletes_an_article_with_everything(large: Article) -> None:
    call_command("delete_article", large.slug, "--noinput", verbosity=0)

    assert not Article.objects.filter(pk=large.pk).exists()
    assert counts_are_right()


@pytest.mark.parametrize("answer", ["no", "", "YES"])
def test_a_command_deletes_nothing_without_a_yes(
    large: Article, answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.input", lambda _: answer)

    with pytest.raises(CommandError, match="Nothing was deleted"):
        call_command("delete_article", large.slug)

    assert Article.objects.visible().filter(pk=large.pk).exists()


def test_a_command_reports_an_unknown_user_or_article(db: None) -> None:
    with pytest.raises(CommandError, match="There is no user 'eve'"):
        call_command("delete_user", "eve")
    with pytest.raises(CommandError, match="There is no article with the slug 'eve'"):
        call_command("delete_article", "eve")


def test_deletions_are_retried_after_a_deadlock() -> None:
    """Two users favorited each other's articles: the cascades lock rows in different orders."""
    for round_ in range(30):
        pair = [make_user(f"left{round_}"), make_user(f"right{round_}")]
        articles = [write_article(user) for user in pair]
        for user in pair:
            for article in articles:
                like(user, article)
                write_many_comments(user, article, 60)
        together = threading.Barrier(2)

        def delete(user: User, together: threading.Barrier = together) -> None:
            together.wait(timeout=20)
            assert deletion.delete(User.objects.filter(pk=user.pk))

        with ThreadPoolExecutor(2) as threads:
            for each in [threads.submit(in_thread, partial(delete, user)) for user in pair]:
                each.result()
    assert not Article.objects.exists()
    assert counts_are_right()
