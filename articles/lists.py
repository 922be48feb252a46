"""The lists of articles: one function for each kind, newest first, a page at a time.

Each article of a page has `total`, the number of articles in the whole list. Hidden articles
and the articles of hidden users are in no list. A list for a name that does not exist is empty.

The ids are read first, from an index in the order of the list, and only as far as the page
reaches. The other columns are read only for the rows of the page. So the first page of a list
with one filter costs the same however many articles there are, and so does a page after a key
(`page_keys.py`). A page after an offset reads the index entries of all articles before it. The
cost of a feed grows with the number of authors whom the reader follows. For two filters all
articles that pass both are counted; for a user's favorites with other filters all favorites are
read.

A filter may be a value or an expression.
"""

from typing import Any, NamedTuple

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import (
    BigIntegerField,
    DateTimeField,
    Expression,
    F,
    Field,
    Func,
    OuterRef,
    QuerySet,
    Subquery,
    Value,
)
from django.db.models.functions import Cast, Coalesce
from django.db.models.lookups import Exact, IsNull

from articles.counts import CountKind, stored_count, sum_of_stored_counts
from articles.entries import ArticleEntryQuerySet
from articles.models import Article, ArticleQuerySet, Favorite, Tag, Tagging
from articles.page_keys import PageKey
from database.prepared import sliced
from profiles.models import Follow
from users.models import User, is_hidden


class Page(NamedTuple):
    """`limit` articles of a list: those after the first `offset` articles, or those after a key."""

    limit: int
    offset: int = 0
    after: PageKey | None = None

    def of(
        self,
        rows: ArticleQuerySet | ArticleEntryQuerySet[Any],
        article: str,
        *,
        total: Expression | Subquery,
    ) -> ArticleQuerySet:
        """The page of the list of these rows. Their column `article` is the id of the article."""
        return self.of_ids(rows.after(self.after).newest_first().values(article), total=total)

    def of_ids(self, ids: QuerySet[Any], *, total: Expression | Subquery) -> ArticleQuerySet:
        """The page of the list whose article ids are `ids`, in this order."""
        shown = sliced(ids, limit=self.limit, offset=self.offset)
        return Article.objects.filter(pk__in=shown).newest_first().annotate(total=total)


def all_articles(page: Page) -> ArticleQuerySet:
    total = stored_count(CountKind.ARTICLES, 0)
    if page.offset == 0:
        # Reading the ids first costs PostgreSQL 16 % more. It helps only if rows must be skipped.
        articles = Article.objects.visible().after(page.after).newest_first()
        first = sliced(articles, limit=page.limit)
        return first.annotate(total=total)
    articles = Article.objects.filter(hidden_at=None).exclude(is_hidden("author"))
    return page.of(articles, "pk", total=total)


def by_author(author: str, page: Page, *, feed_of: int | None) -> ArticleQuerySet:
    """The articles of the author; in a feed, only if its reader follows the author."""
    articles = Article.objects.filter(hidden_at=None, author=_user_id(author))
    total: Expression | Subquery = stored_count(CountKind.ARTICLES_OF_AUTHOR, _user_id(author))
    if feed_of is not None:
        articles = articles.filter(author__in=_follows(feed_of).values("followed"))
        total = _count(articles)
    return page.of(articles, "pk", total=total)


def tagged(tag: str, page: Page) -> ArticleQuerySet:
    taggings = Tagging.objects.filter(tag=_tag_id(tag), article_hidden=False)
    visible = taggings.exclude(is_hidden("article_author"))
    total = stored_count(CountKind.ARTICLES_OF_TAG, _tag_id(tag))
    return page.of(visible, "article", total=total)


def tagged_by_author(tag: str, author: str, page: Page, *, feed_of: int | None) -> ArticleQuerySet:
    """The author's articles that have the tag; in a feed, only if its reader follows the author."""
    taggings = Tagging.objects.filter(
        tag=_tag_id(tag), article_hidden=False, article_author=_user_id(author)
    )
    if feed_of is not None:
        taggings = taggings.filter(article_author__in=_follows(feed_of).values("followed"))
    return page.of(taggings, "article", total=_count(taggings))


def favorites(
    username: str, page: Page, *, tag: str | None, author: str | None, feed_of: int | None
) -> ArticleQuerySet:
    """The articles that the user likes and that pass the other filters; None is no filter.

    The query reads the favorites and checks the other filters for each, because a user's favorites
    are probably fewer than the articles of the other filters. PostgreSQL plans before it knows the
    values, and would choose a plan for the average tag and user.
    """
    rows = Favorite.objects.filter(user=_user_id(username))
    rows = rows.filter(_article_is_visible() if tag is None else _article_is_tagged(tag))
    if author is not None:
        rows = rows.filter(article_author=_user_id(author))
    if feed_of is not None:
        rows = rows.filter(article_author__in=_visible_follows(feed_of).values("followed"))
    if author is None and feed_of is None:
        # `author` and `feed_of` already exclude hidden authors.
        rows = rows.exclude(is_hidden("article_author"))
    total: Expression | Subquery = _count(rows)
    if tag is None and author is None and feed_of is None:
        total = stored_count(CountKind.FAVORITES_OF_USER, _user_id(username))
    return page.of(rows, "article", total=total)


def feed(reader: int, page: Page) -> ArticleQuerySet:
    """The articles of all authors whom the reader follows."""
    articles = Article.objects.filter(hidden_at=None, author=OuterRef("followed"))
    # Hidden authors need no filter here: their stored count is 0.
    total = sum_of_stored_counts(CountKind.ARTICLES_OF_AUTHOR, _follows(reader).values("followed"))
    return page.of_ids(_merged(reader, articles, "created_at", "pk", page), total=total)


def feed_tagged(reader: int, tag: str, page: Page) -> ArticleQuerySet:
    """The articles of the reader's feed that have the tag."""
    taggings = Tagging.objects.filter(
        tag=_tag_id(tag), article_hidden=False, article_author=OuterRef("followed")
    )
    # A count for each author. For one count PostgreSQL would read all taggings of the tag.
    counts = Cast(Func(_count(taggings), function="SUM"), BigIntegerField())
    total = Coalesce(Subquery(_visible_follows(reader).values_list(counts)), 0)
    ids = _merged(reader, taggings, "article_created_at", "article", page)
    return page.of_ids(ids, total=total)


def _merged(
    reader: int,
    of_author: ArticleQuerySet | ArticleEntryQuerySet[Any],
    created_at: str,
    article: str,
    page: Page,
) -> QuerySet[Any]:
    """The ids of the newest articles of the authors whom the reader follows, newest first: at least
    as far as the page reaches, if there are so many.

    `of_author` has a row for each article of the author `OuterRef("followed")`. Its columns
    `created_at` and `article` hold the time and the id of the article.

    If the page reaches to the 40th article, the newest 40 of each author are merged, and only the
    40 authors with the newest articles are read: with 500 authors this saves more than half of the
    work. A join would sort all articles of all authors: 274 ms for 35 authors with many articles.
    SQL has LATERAL for this merge, but the ORM does not.
    """
    depth = page.offset + page.limit
    newest = of_author.after(page.after).newest_first()
    # One value for both columns of the order. It is never fetched.
    place = Func(created_at, article, function="ROW", output_field=Field())
    authors = _visible_follows(reader).annotate(newest=Subquery(newest.values(place=place)[:1]))
    first = sliced(authors.order_by(F("newest").desc(nulls_last=True)), limit=depth)
    newest = sliced(newest, limit=depth)
    merged = (
        _follows(reader)
        .filter(followed__in=first.values("followed"))
        .annotate(
            newest_at=Unnest(
                ArraySubquery(newest.values(created_at)), output_field=DateTimeField()
            ),
            newest=Unnest(ArraySubquery(newest.values(article)), output_field=BigIntegerField()),
        )
    )
    return merged.order_by("-newest_at", "-newest").values("newest")


class Unnest(Func):
    """The elements of an array as rows; two arrays in one SELECT advance together."""

    function = "unnest"
    arity = 1
    set_returning = True


def _count(rows: QuerySet[Any]) -> Subquery:
    # Func and not Count: for an aggregate Django would group by the columns of the rows.
    count = Func(function="COUNT", template="%(function)s(*)", output_field=BigIntegerField())
    return Subquery(rows.values_list(count))


def _tag_id(name: str) -> Subquery:
    return Subquery(Tag.objects.filter(name=name).values("pk")[:1])


def _user_id(username: str) -> Subquery:
    """The id of the user, or NULL if the user is hidden or does not exist."""
    return Subquery(User.objects.filter(username=username, hidden_at=None).values("pk")[:1])


def _follows(reader: int) -> QuerySet[Follow]:
    return Follow.objects.filter(follower=reader)


def _visible_follows(reader: int) -> QuerySet[Follow]:
    """The reader's follows of users who are not hidden."""
    return _follows(reader).exclude(is_hidden("followed"))


def _article_is_visible() -> Exact:
    """Whether the article of a favorite is not hidden.

    Not a join, because PostgreSQL may join in another order. Not a comparison with the id, as in
    `_article_is_tagged`, because PostgreSQL would estimate that only one favorite passes. Not a
    filter of the articles by `hidden_at`: without statistics, PostgreSQL takes the index of visible
    articles for small, and would read it whole for each favorite.
    """
    articles = Article.objects.filter(pk=OuterRef("article"))
    is_visible = IsNull(F("hidden_at"), True)
    return Exact(Subquery(articles.values_list(is_visible)[:1]), Value(True))


def _article_is_tagged(tag: str) -> Exact:
    """Whether the article of a favorite is not hidden and has the tag.

    Not an EXISTS, because PostgreSQL may turn it into a join that reads all taggings of the tag.
    The time is compared too. The favorites come in the order of time, so PostgreSQL then reads the
    index of the taggings in order, at a third of the cost of random access.
    """
    taggings = Tagging.objects.filter(
        tag=_tag_id(tag),
        article=OuterRef("article"),
        article_created_at=OuterRef("article_created_at"),
        article_hidden=False,
    )
    return Exact(F("article"), Subquery(taggings.values("article")[:1]))
