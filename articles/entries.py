"""Tags and favorites: the entries of lists of articles."""

from collections.abc import Iterable
from typing import Self

from django.db import models
from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from articles.counts import CountKind, stored_count
from articles.page_keys import PageKey, comes_after
from articles.texts import one_line, shortened
from users.models import User, row_exists

TAG_LENGTH = 64  # characters
MOST_TAGS = 30  # of an article


class ArticleEntryQuerySet[Row: "ArticleEntry"](models.QuerySet[Row]):
    def newest_first(self) -> Self:
        """Newest article first."""
        return self.order_by("-article_created_at", "-article_id")

    def after(self, key: PageKey | None) -> Self:
        """The rows that come after the key in the order `newest_first`. None is no limit."""
        columns = ("article_created_at", "article")
        return self if key is None else self.filter(comes_after(key, *columns))


class ArticleEntry(models.Model):
    """An entry of a list of articles, with copies of the article's columns that the list needs.

    Triggers set the copies and overwrite any value supplied.

    An index can only hold columns of one table. Without the copies, PostgreSQL would find the
    newest articles of a tag by sorting all articles of the tag, or by reading the newest articles
    of the site until enough of them have the tag: 9.6 s with a million articles.
    """

    # The defaults are for a row whose article does not exist. Such a row exists only until the
    # foreign key of the article refuses it. A foreign key of the author would check nothing more.
    article_created_at = models.DateTimeField(db_default=Now(), editable=False)
    article_author = models.ForeignKey(
        User,
        models.DO_NOTHING,
        related_name="+",
        db_constraint=False,
        db_index=False,
        db_default=0,
        editable=False,
    )

    class Meta:
        abstract = True


class TagQuerySet(models.QuerySet["Tag"]):
    def named(self, names: Iterable[str]) -> "list[Tag]":
        """The tags with these names, in the order of their ids. Missing tags are created.

        They are created in the order of their names: two writers that create the same tags in
        opposite order would deadlock. New taggings lock their tags one after the other, so the
        tags that exist have one order too.
        """
        tags = [Tag(name=name) for name in sorted(set(names))]
        self.bulk_create(tags, ignore_conflicts=True)
        return list(self.filter(name__in=[tag.name for tag in tags]).order_by("pk"))

    def locked(self, names: Iterable[str]) -> "list[Tag]":
        """The same tags, locked. No other transaction deletes or renames them before this one ends.

        Articles can still get them.
        """
        names = set(names)
        while True:
            tags = self.select_for_update(no_key=True).named(names)
            if len(tags) == len(names):
                return tags
            # Another transaction has deleted or renamed one of them before it was locked.


class Tag(models.Model):
    name = models.CharField(max_length=TAG_LENGTH, validators=[one_line])

    objects = TagQuerySet.as_manager()

    class Meta:
        permissions = [("merge_tag", "Can merge and rename tags")]
        constraints = [
            models.UniqueConstraint(fields=["name"], name="tag_once"),
            models.CheckConstraint(condition=~models.Q(name=""), name="tag_given"),
        ]

    def __str__(self) -> str:
        return self.name


class Tagging(ArticleEntry):
    """A tag of an article."""

    article = models.ForeignKey(
        "Article", models.DB_CASCADE, related_name="taggings", db_index=False
    )
    tag = models.ForeignKey(Tag, models.DB_CASCADE, related_name="taggings", db_index=False)
    # Favorites have no such copy, because hiding an article would update all of its favorites.
    article_hidden = models.BooleanField(db_default=False, editable=False)

    objects = ArticleEntryQuerySet["Tagging"].as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["article", "tag"], name="tagging_once"),
        ]
        indexes = [
            models.Index(
                fields=["tag", "-article_created_at", "-article"],
                include=["article_author", "article_hidden"],
                name="newest_of_tag",
            ),
            models.Index(
                fields=["tag", "article_author", "-article_created_at", "-article"],
                include=["article_hidden"],
                name="newest_of_tag_by_author",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.tag} on “{shortened(self.article.title, 60)}”"


class FavoriteQuerySet(ArticleEntryQuerySet["Favorite"]):
    def add(self, user: User, article_id: int) -> None:
        """One idempotent statement: two requests at the same time both succeed.

        Raises IntegrityError if the article or the user was deleted.
        """
        favorite = Favorite(user=user, article_id=article_id)
        self.bulk_create([favorite], ignore_conflicts=True)

    def remove(self, user: User, article_id: int) -> bool:
        """Whether there was a favorite."""
        return bool(self.filter(user=user, article=article_id).delete()[0])


class Favorite(ArticleEntry):
    """A user likes an article. Authors may like their own articles."""

    user = models.ForeignKey(User, models.DB_CASCADE, related_name="favorites", db_index=False)
    article = models.ForeignKey(
        "Article", models.DB_CASCADE, related_name="favorites", db_index=False
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = FavoriteQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "article"], name="favorite_once"),
        ]
        indexes = [
            models.Index(fields=["article"], name="favorites_of_article"),
            models.Index(
                fields=["user", "-article_created_at", "-article"],
                include=["article_author"],
                name="newest_favorites_of_user",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} likes “{shortened(self.article.title, 60)}”"


def favorited(viewer: int | None) -> Coalesce | models.Value:
    """Whether the viewer likes the article of the outer query."""
    if viewer is None:
        return models.Value(False)
    return row_exists(Favorite.objects.filter(user=viewer, article=models.OuterRef("pk")))


def favorites_count() -> Coalesce:
    """The number of users who like the article of the outer query."""
    return stored_count(CountKind.FAVORITES_OF_ARTICLE, models.OuterRef("pk"))
