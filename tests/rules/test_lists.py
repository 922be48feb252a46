"""Each list has the articles that its filters ask for, compared with a slow, plain definition."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from random import Random
from typing import NamedTuple

import pytest

from articles.models import Article, Favorite
from articles.queries import list_articles, list_articles_after
from profiles.models import Follow
from tests.builders import follow, like, make_user, write_article
from users.models import User

TAGS = ("django", "postgresql", "python", "sql")
PAGES = ((20, 0), (3, 0), (3, 2), (1, 7), (100, 0), (5, 1000))


class Site(NamedTuple):
    users: list[User]
    articles: list[Article]


@pytest.fixture
def site(db: None) -> Site:
    """Thirty articles, many with the same time, and random tags, favorites and follows."""
    rng = Random(4)  # noqa: S311 -- no secret
    users = [make_user(f"user{n}") for n in range(5)]
    instants = [datetime(2001, 2, 3, tzinfo=UTC) + timedelta(days=n) for n in range(8)]
    articles = [
        write_article(
            rng.choice(users[:4]),  # the last one writes nothing
            created_at=rng.choice(instants),
            tags=tuple(rng.sample(TAGS[:3], rng.randrange(3))),  # nothing carries the last one
        )
        for _ in range(30)
    ]
    for user, article in product(users[:4], articles):  # the last one likes nothing
        if rng.random() < 0.5:
            like(user, article)
    for follower, followed in product(users[:4], users):
        if follower != followed and rng.random() < 0.6:
            follow(follower, followed)
    return Site(users, articles)


def position(article: Article) -> tuple[datetime, int]:
    return article.created_at, article.pk


def expected(
    site: Site, tag: str | None, author: str | None, favorited_by: str | None, feed_of: int | None
) -> Iterator[Article]:
    liked = {*Favorite.objects.values_list("user__username", "article")}
    follows = {*Follow.objects.values_list("follower", "followed")}
    for article in sorted(site.articles, key=position, reverse=True):
        if (
            (tag is None or tag in {tag.name for tag in article.tags.all()})
            and (author is None or author == article.author.username)
            and (favorited_by is None or (favorited_by, article.pk) in liked)
            and (feed_of is None or (feed_of, article.author_id) in follows)
        ):
            yield article


@pytest.mark.parametrize("with_feed", [False, True])
@pytest.mark.parametrize("with_favorites", [False, True])
@pytest.mark.parametrize("with_author", [False, True])
@pytest.mark.parametrize("with_tag", [False, True])
def test_every_combination_of_filters_finds_the_articles_that_pass_all_of_them(
    site: Site, with_tag: bool, with_author: bool, with_favorites: bool, with_feed: bool
) -> None:
    for tag, author, favorited_by, feed_of in product(
        ["django", "sql"] if with_tag else [None],
        ["user0", "USER0"] if with_author else [None],
        ["user1", "user4"] if with_favorites else [None],
        [site.users[1].pk, site.users[4].pk] if with_feed else [None],
    ):
        fitting = [*expected(site, tag, author, favorited_by, feed_of)]
        for limit, offset in PAGES:
            found = list_articles.queryset(
                tag=tag,
                author=author,
                favorited_by=favorited_by,
                feed_of=feed_of,
                limit=limit,
                offset=offset,
            )
            shown = fitting[offset : offset + limit]
            assert [*found.values_list("pk", "total")] == [
                (article.pk, len(fitting)) for article in shown
            ]
        # The key may be an article that is not in the list: it may have been deleted.
        for key, limit in product(site.articles[::9], (20, 2)):
            found = list_articles_after.queryset(
                created_at=key.created_at,
                article_id=key.pk,
                tag=tag,
                author=author,
                favorited_by=favorited_by,
                feed_of=feed_of,
                limit=limit,
            )
            after = [article for article in fitting if position(article) < position(key)]
            assert [*found.values_list("pk", "total")] == [
                (article.pk, len(fitting)) for article in after[: limit + 1]
            ]
