"""The prepared queries for articles, comments and tags."""

from datetime import datetime
from typing import NamedTuple

from django.db.models import Count, OuterRef, QuerySet, Subquery, Window

from articles import lists
from articles.counts import UsedTag
from articles.lists import Page
from articles.models import Article, ArticleQuerySet, Comment
from articles.page_keys import PageKey
from database.prepared import Slice, prepared, sliced
from users.models import is_hidden, row_exists

# Rows of a page if the client sends no limit.
DEFAULT_LIMIT = 20
COMMENTS_LIMIT = 500
SEARCH_LIMIT = 10
TAGS_LIMIT = 10_000


class ArticleInListRow(NamedTuple):
    pk: int
    slug: str
    title: str
    description: str
    tag_names: list[str]
    created_at: datetime
    updated_at: datetime
    favorited: bool
    favorites_count: int
    author__username: str
    author__bio: str | None
    author__image: str | None
    following: bool
    total: int
    """The number of articles in the whole list."""


class ArticleRow(NamedTuple):
    pk: int
    slug: str
    title: str
    description: str
    body: str
    tag_names: list[str]
    created_at: datetime
    updated_at: datetime
    favorited: bool
    favorites_count: int
    author__username: str
    author__bio: str | None
    author__image: str | None
    following: bool


class CommentRow(NamedTuple):
    id: int
    body: str
    created_at: datetime
    updated_at: datetime
    author__username: str
    author__bio: str | None
    author__image: str | None
    following: bool


class TagRow(NamedTuple):
    name: str


class SlugRow(NamedTuple):
    slug: str


@prepared(ArticleRow, indexes=["slug_once"])
def article_with_slug(*, slug: str, viewer: int | None = None) -> QuerySet[Article]:
    """The article with this slug, if any."""
    return Article.objects.with_slug(slug).seen_by(viewer)


@prepared(SlugRow, indexes=["slug_once", "old_slug_once", "articles_article_pkey"])
def current_slug(*, any_slug: str) -> QuerySet[Article]:
    """The current slug of the article that has this slug or had it before."""
    return Article.objects.with_any_slug(any_slug)


@prepared(ArticleRow, indexes=["articles_article_pkey"])
def article_with_id(*, pk: int, viewer: int | None = None) -> QuerySet[Article]:
    """The article with this id, if any. Used to show an article after a write."""
    return Article.objects.visible().seen_by(viewer).filter(pk=pk)


@prepared(CommentRow, indexes=["slug_once", "newest_comments_of_article", "hidden_users"])
def comments_on(
    *, slug: str, viewer: int | None = None, limit: Slice = COMMENTS_LIMIT, offset: Slice = 0
) -> QuerySet[Comment]:
    """A page of the comments on the article with this slug, newest first.

    There is one extra row if there is a next page.
    """
    article = Article.objects.with_slug(slug).values("pk")[:1]
    comments = Comment.objects.filter(article=Subquery(article)).newest_first()
    if offset == 0:
        page = sliced(comments.visible(), limit=limit + 1)
    else:
        # Read the ids first, by an index-only scan. Otherwise PostgreSQL would also look up the
        # authors of all comments before the page.
        visible = comments.filter(hidden_at=None).exclude(is_hidden("author"))
        ids = sliced(visible.values("pk"), limit=limit + 1, offset=offset)
        page = Comment.objects.filter(pk__in=ids).newest_first()
    return page.seen_by(viewer)


@prepared(CommentRow, indexes=["articles_comment_pkey"])
def comment_with_id(*, pk: int, viewer: int | None = None) -> QuerySet[Comment]:
    """The comment with this id, unless the comment or its article is hidden."""
    article = Article.objects.visible().filter(pk=OuterRef("article"))
    comments = Comment.objects.visible().filter(row_exists(article))
    return comments.seen_by(viewer).filter(pk=pk)


@prepared(TagRow, indexes=["tally_of_key"])
def tags_most_used_first(*, limit: Slice = TAGS_LIMIT, offset: Slice = 0) -> QuerySet[UsedTag]:
    """A page of the names of the tags that have articles.

    There is one extra row if there is a next page.
    """
    ordered = UsedTag.objects.order_by("-articles_count", "name")
    return sliced(ordered, limit=limit + 1, offset=offset)


# The usual limit of front ends besides the default.
LITERALS = {"limit": [10]}
INDEXES_OF_LISTS = [
    "newest_visible_articles",
    "newest_of_author",
    "newest_of_tag",
    "newest_favorites_of_user",
    "favorite_once",
    "follow_once",
    "tagging_once",
    "tally_of_key",
    "hidden_users",
]


@prepared(ArticleInListRow, literals=LITERALS, indexes=INDEXES_OF_LISTS)
def list_articles(
    *,
    tag: str | None = None,
    author: str | None = None,
    favorited_by: str | None = None,
    feed_of: int | None = None,
    viewer: int | None = None,
    limit: Slice = DEFAULT_LIMIT,
    offset: Slice = 0,
) -> QuerySet[Article]:
    """A page of the articles that pass all filters, newest first. `feed_of` is a user id."""
    page = Page(limit, offset)
    return _listed(page, tag, author, favorited_by, feed_of).seen_by(viewer)


# A query of its own: if the key were an argument of `list_articles`, there would also be shapes
# with a key and an offset, which no client can request.
@prepared(ArticleInListRow, literals=LITERALS, indexes=INDEXES_OF_LISTS)
def list_articles_after(
    *,
    created_at: datetime,
    article_id: int,
    tag: str | None = None,
    author: str | None = None,
    favorited_by: str | None = None,
    feed_of: int | None = None,
    viewer: int | None = None,
    limit: Slice = DEFAULT_LIMIT,
) -> QuerySet[Article]:
    """The page of the same list that begins after the key with this time and id.

    There is one extra row if there is a next page.
    """
    page = Page(limit + 1, after=PageKey(created_at, article_id))
    return _listed(page, tag, author, favorited_by, feed_of).seen_by(viewer)


@prepared(ArticleInListRow, indexes=["articles_article_pkey", "words_of_articles"])
def search_articles(
    *, text: str, viewer: int | None = None, limit: Slice = SEARCH_LIMIT, offset: Slice = 0
) -> QuerySet[Article]:
    """A page of the articles that have all words of the text, newest first.

    Only the newest `MAX_MATCHES` articles with the words are found. Hidden ones count, but are not
    in the list. So `total` is at most `MAX_MATCHES`.
    """
    found = Article.objects.visible().matching(text).annotate(total=Window(Count("pk")))
    return sliced(found.newest_first(), limit=limit, offset=offset).seen_by(viewer)


def _listed(
    page: Page,
    tag: str | None,
    author: str | None,
    favorited_by: str | None,
    feed_of: int | None,
) -> ArticleQuerySet:
    if favorited_by is not None:
        return lists.favorites(favorited_by, page, tag=tag, author=author, feed_of=feed_of)
    if tag is not None and author is not None:
        return lists.tagged_by_author(tag, author, page, feed_of=feed_of)
    if author is not None:
        return lists.by_author(author, page, feed_of=feed_of)
    if feed_of is not None and tag is not None:
        return lists.feed_tagged(feed_of, tag, page)
    if feed_of is not None:
        return lists.feed(feed_of, page)
    if tag is not None:
        return lists.tagged(tag, page)
    return lists.all_articles(page)
