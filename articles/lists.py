"""Which articles a page shows, newest first, and how many there are in all.

The ids come first, from an index in the order of the page, and no further than the page reaches.
Names, tags and counts are then looked up for the rows of the page alone.
"""

from typing import Any, NamedTuple

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import (
    BigIntegerField,
    DateTimeField,
    F,
    Field,
    Func,
    OuterRef,
    QuerySet,
    Subquery,
    Value,
)
from django.db.models.functions import Cast, Coalesce
from django.db.models.lookups import Exact

from articles.counts import Tally, tallied, tallied_of_any
from articles.models import Article, ArticleQuerySet, Favorite, Tag, Tagging
from profiles.models import Follow
from users.models import User, is_hidden

Counted = Tally.Counted


def page(
    *,
    tag: str | None = None,
    author: str | None = None,
    favorited_by: str | None = None,
    feed_of: int | None = None,
    limit: int,
    offset: int,
) -> ArticleQuerySet:
    """The articles of a page that pass every filter given, with the `total` of all that do.

    A name that nobody has fits nothing. `feed_of` is the id of a reader, and fits what those
    whom they follow have written. Of a filter nothing is asked but whether it is None: it may
    be an expression.

    With one filter the first page costs the same however many articles there are; a feed costs
    in proportion to those whom the reader follows. What two filters have in common is counted,
    and where one of them is a reader's favorites, all of these are looked at.
    """
    filters = Filters(tag, author, favorited_by, feed_of)
    if not filters.given and offset == 0:
        # Without ids first: that costs a quarter more, and is for what stands before the page.
        articles = Article.objects.visible().newest_first()[:limit]
    else:
        ids = _merged(filters, offset + limit) if filters.merge else _listed(filters)
        articles = Article.objects.filter(pk__in=ids[offset : offset + limit]).newest_first()
    return articles.annotate(total=_total(filters))


class Filters(NamedTuple):
    tag: str | None
    author: str | None
    favorited_by: str | None
    feed_of: int | None

    @property
    def given(self) -> list[str]:
        return [name for name, value in self._asdict().items() if value is not None]

    @property
    def merge(self) -> bool:
        """Whether it takes the lists of many authors to make the page."""
        return self.given in (["feed_of"], ["tag", "feed_of"])


class Columns(NamedTuple):
    """What rows that list articles call the columns of an article."""

    article: str
    created_at: str
    author: str


def _listed(filters: Filters) -> QuerySet[Any]:
    """The ids of the articles that pass the filters, newest first."""
    rows, columns = _rows(filters)
    ids: QuerySet[Any] = rows.newest_first().values(columns.article)
    return ids


def _merged(filters: Filters, depth: int) -> QuerySet[Any]:
    """The same for the authors whom a reader follows: the newest of each, as many as the page
    is deep, put in one order.

    Only of as many authors as the page is deep, those whose newest is newer than the others':
    of five hundred, that saves more than half of the work.

    A join would read all that they have written before it sorts: 274 ms for 35 who have written
    much. What SQL has for this is LATERAL, and the ORM has not.
    """
    rows, columns = _rows(filters)
    newest = rows.newest_first()[:depth]
    # What the order goes by, for both columns at once. It is never fetched.
    place = Func(columns.created_at, columns.article, function="ROW", output_field=Field())
    of_each = _visible_follows(filters).annotate(newest=Subquery(newest.values(place=place)[:1]))
    first = of_each.order_by(F("newest").desc(nulls_last=True))[:depth]
    created_at = ArraySubquery(newest.values(columns.created_at))
    article = ArraySubquery(newest.values(columns.article))
    merged = (
        _follows(filters)
        .filter(followed__in=first.values("followed"))
        .annotate(
            newest_at=Unnest(created_at, output_field=DateTimeField()),
            newest=Unnest(article, output_field=BigIntegerField()),
        )
    )
    return merged.order_by("-newest_at", "-newest").values("newest")


class Unnest(Func):
    """The elements of an array as rows; two arrays in one SELECT advance together."""

    function = "unnest"
    arity = 1
    set_returning = True


def _total(filters: Filters) -> Coalesce | Subquery:
    """How many pass the filters: stored for one of them, counted for more."""
    match filters.given:
        case []:
            return tallied(Counted.ARTICLES, 0)
        case ["tag"]:
            return tallied(Counted.ARTICLES_OF_TAG, _tag(filters))
        case ["author"]:
            return tallied(Counted.ARTICLES_OF_AUTHOR, _user(filters.author))
        case ["favorited_by"]:
            return tallied(Counted.FAVORITES_OF_USER, _user(filters.favorited_by))
        case ["feed_of"]:
            # A hidden author has no articles that count.
            followed = _follows(filters).values("followed")
            return tallied_of_any(Counted.ARTICLES_OF_AUTHOR, followed)
    counted = _counted(_rows(filters)[0])
    if not filters.merge:
        return counted
    # Author by author again, or else all that carry the tag would be read.
    summed = Cast(Func(counted, function="SUM"), BigIntegerField())
    return Coalesce(Subquery(_visible_follows(filters).values_list(summed)), 0)


def _counted(rows: QuerySet[Any]) -> Subquery:
    # As a function, because Django groups by the rows' columns for an aggregate.
    count = Func(function="COUNT", template="%(function)s(*)", output_field=BigIntegerField())
    return Subquery(rows.values_list(count))


def _rows(filters: Filters) -> tuple[Any, Columns]:
    """A row for each article that passes the filters; or, where lists are to be merged, for
    each of the author whom the row around the query follows.

    Of favorites, tags and authors, in this order, the first that is given lists the articles:
    it is likely to be the shortest list. The others only look them up. PostgreSQL would choose
    by the size of an average tag and reader, for it plans before it knows which they are.
    """
    columns = Columns("article", "article_created_at", "article_author")
    if filters.favorited_by is not None:
        rows: Any = Favorite.objects.filter(user=_user(filters.favorited_by))
        if filters.tag is not None:
            rows = rows.filter(article=_same_article_tagged(filters))
        else:
            rows = rows.filter(_article_is_visible())
    elif filters.tag is not None:
        rows = Tagging.objects.filter(tag=_tag(filters), article_hidden=False)
    else:
        rows = Article.objects.filter(hidden_at=None)
        columns = Columns("pk", "created_at", "author")
    if filters.author is not None:
        rows = rows.filter(**{columns.author: _user(filters.author)})
    if filters.merge:
        rows = rows.filter(**{columns.author: OuterRef("followed")})
    elif filters.feed_of is not None:
        rows = rows.filter(
            **{f"{columns.author}__in": _visible_follows(filters).values("followed")}
        )
    elif filters.author is None:
        # `author` and `feed_of` find visible users alone.
        rows = rows.exclude(is_hidden(columns.author))
    return rows, columns


def _same_article_tagged(filters: Filters) -> Subquery:
    """The article of the row around the query, if it carries the tag.

    Not as an EXISTS, which PostgreSQL may turn round, to read all that carry the tag. And by
    the time too: rows in the order of time then go through the index in its own order, which
    costs a third of going through it at random.
    """
    taggings = Tagging.objects.filter(
        tag=_tag(filters),
        article=OuterRef("article"),
        article_created_at=OuterRef("article_created_at"),
        article_hidden=False,
    )
    return Subquery(taggings.values("article")[:1])


def _tag(filters: Filters) -> Subquery:
    return Subquery(Tag.objects.filter(name=filters.tag).values("pk")[:1])


def _user(name: str | None) -> Subquery:
    return Subquery(User.objects.filter(username=name, hidden_at=None).values("pk")[:1])


def _article_is_visible() -> Exact:
    """Whether the article of a favorite is not hidden.

    A comparison with TRUE, because of a comparison with the id PostgreSQL expects one row, and
    of a join that it can be done in another order.
    """
    articles = Article.objects.filter(pk=OuterRef("article"), hidden_at=None)
    return Exact(Subquery(articles.values_list(Value(True))[:1]), Value(True))


def _follows(filters: Filters) -> QuerySet[Follow]:
    return Follow.objects.filter(follower=filters.feed_of)


def _visible_follows(filters: Filters) -> QuerySet[Follow]:
    """The follows whose articles may be shown."""
    return _follows(filters).exclude(is_hidden("followed"))
