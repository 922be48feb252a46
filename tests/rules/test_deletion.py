"""Which rows are deleted with a row, by Django and by plain SQL."""

from collections.abc import Callable

import pytest
from django.db import connection, models

from articles.models import Article, Comment, Favorite, Tag, Tagging
from profiles.models import Follow
from tests.builders import follow, like, write_article, write_comment
from tests.client import ApiClient
from users.models import User

Api = Callable[..., ApiClient]
Delete = Callable[[models.Model], None]


def by_instance(row: models.Model) -> None:
    row.delete()


def by_queryset(row: models.Model) -> None:
    type(row)._default_manager.filter(pk=row.pk).delete()


def by_sql(row: models.Model) -> None:
    table = row._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {table} WHERE id = %s", [row.pk])  # noqa: S608 -- no input
        # Django's foreign keys are checked at the commit.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


@pytest.fixture(params=[by_instance, by_queryset, by_sql])
def delete(request: pytest.FixtureRequest) -> Delete:
    chosen: Delete = request.param
    return chosen


@pytest.fixture
def of_alice(alice: User, bob: User, charlie: User) -> Article:
    """An article by Alice. All users like and comment on all articles."""
    follow(alice, charlie)
    follow(bob, charlie)
    of_alice = write_article(alice, title="Of Alice", tags=("common", "hers"))
    of_bob = write_article(bob, title="Of Bob", tags=("common", "his"))
    for article in (of_alice, of_bob):
        for reader in (alice, bob, charlie):
            like(reader, article)
            write_comment(reader, article, body=f"{reader} on {article}")
    return of_alice


def test_a_deleted_user_has_no_articles_comments_favorites_or_follows(
    api: Api, of_alice: Article, alice: User, delete: Delete
) -> None:
    delete(alice)

    assert [article.title for article in Article.objects.all()] == ["Of Bob"]
    assert {*Comment.objects.values_list("body", flat=True)} == {
        "bob on Of Bob",
        "charlie on Of Bob",
    }
    assert {*Favorite.objects.values_list("user__username", "article__title")} == {
        ("bob", "Of Bob"),
        ("charlie", "Of Bob"),
    }
    assert [str(name) for name in Follow.objects.values_list("follower__username", flat=True)] == [
        "bob"
    ]
    assert {*Tagging.objects.values_list("tag__name", flat=True)} == {"common", "his"}


def test_the_api_does_not_show_a_deleted_user(
    api: Api, of_alice: Article, alice: User, bob: User, delete: Delete
) -> None:
    token = api(alice)
    delete(User.objects.get(pk=alice.pk))

    answer = api(bob).get("/api/articles").json()
    assert [article["title"] for article in answer["articles"]] == ["Of Bob"]
    assert answer["articlesCount"] == 1
    assert answer["articles"][0]["favoritesCount"] == 2
    for query in ("author=alice", "favorited=alice", "tag=hers"):
        assert api().get(f"/api/articles?{query}").json() == {"articles": [], "articlesCount": 0}
    assert api(bob).get("/api/articles/feed").json() == {"articles": [], "articlesCount": 0}
    assert api().get("/api/tags").json() == {"tags": ["common", "his"]}
    path = f"/api/articles/{answer['articles'][0]['slug']}/comments"
    assert len(api().get(path).json()["comments"]) == 2
    assert api().get(f"/api/articles/{of_alice.slug}").status_code == 404
    assert token.get("/api/user").status_code == 401


def test_a_deleted_article_has_no_comments_favorites_or_taggings(
    api: Api, of_alice: Article, delete: Delete
) -> None:
    delete(of_alice)

    assert {*Comment.objects.values_list("article__title", flat=True)} == {"Of Bob"}
    assert Comment.objects.count() == Favorite.objects.count() == 3
    assert {*Tagging.objects.values_list("article__title", "tag__name")} == {
        ("Of Bob", "common"),
        ("Of Bob", "his"),
    }
    assert User.objects.count() == Follow.objects.count() == 3
    assert api().get("/api/articles").json()["articlesCount"] == 1
    assert api().get("/api/tags").json() == {"tags": ["common", "his"]}


def test_a_deleted_tag_is_removed_from_its_articles(
    api: Api, of_alice: Article, delete: Delete
) -> None:
    delete(Tag.objects.get(name="common"))

    assert Article.objects.count() == 2
    assert {*Tagging.objects.values_list("article__title", "tag__name")} == {
        ("Of Alice", "hers"),
        ("Of Bob", "his"),
    }
    shown = api().get(f"/api/articles/{of_alice.slug}").json()["article"]
    assert (shown["tagList"], shown["favoritesCount"]) == (["hers"], 3)
    assert api().get("/api/articles?tag=common").json()["articlesCount"] == 0
    assert api().get("/api/tags").json() == {"tags": ["hers", "his"]}


def test_deleting_a_favorite_deletes_nothing_else(
    api: Api, of_alice: Article, bob: User, delete: Delete
) -> None:
    delete(Favorite.objects.get(user=bob, article=of_alice))

    shown = api(bob).get(f"/api/articles/{of_alice.slug}").json()["article"]
    assert (shown["favorited"], shown["favoritesCount"]) == (False, 2)
    assert Favorite.objects.count() == 5
    assert Comment.objects.count() == 6


def test_deleting_a_comment_deletes_nothing_else(
    of_alice: Article, bob: User, delete: Delete
) -> None:
    delete(Comment.objects.get(author=bob, article=of_alice))

    assert Comment.objects.count() == 5
    assert Article.objects.count() == 2


def test_deleting_a_follow_deletes_nothing_else(
    api: Api, of_alice: Article, alice: User, bob: User, delete: Delete
) -> None:
    delete(Follow.objects.get(follower=bob, followed=alice))

    assert api(bob).get("/api/articles/feed").json() == {"articles": [], "articlesCount": 0}
    assert Follow.objects.count() == 2
    assert User.objects.count() == 3
