"""What is written, tagged, liked and said.

Everything goes with the person it belongs to, and what hangs on an article goes with the
article: the database deletes it (`DB_CASCADE`), so that nothing of it can be left behind,
however many write at that moment.
"""

from collections.abc import Iterable
from typing import Any, Self

from django.contrib.postgres.expressions import ArraySubquery
from django.db import IntegrityError, models, transaction
from django.db.models.functions import Coalesce, Collate, Length, Now
from django.db.models.lookups import LessThanOrEqual
from django.utils import timezone

from articles.counts import Tally, tallied
from articles.slugs import slugs_for
from articles.texts import one_line, visible
from database.errors import violated_constraint
from profiles.models import Viewer, following, there_is
from users.models import User
from users.visibility import Hideable, HideableQuerySet

BODY_LENGTH = 200_000
COMMENT_LENGTH = 10_000


class TagQuerySet(models.QuerySet["Tag"]):
    def named(self, names: Iterable[str]) -> "list[Tag]":
        """The tags with these names, made where they don't exist yet.

        In the order of their names: two writers who make the same tags then wait for
        each other in turn, and not in a circle.
        """
        tags = [Tag(name=name) for name in sorted(set(names))]
        self.bulk_create(tags, ignore_conflicts=True)
        return list(self.filter(name__in=[tag.name for tag in tags]))


class Tag(models.Model):
    name = models.CharField(max_length=64, validators=[one_line])

    objects = TagQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["name"], name="tag_once"),
            models.CheckConstraint(condition=~models.Q(name=""), name="tag_given"),
        ]

    def __str__(self) -> str:
        return self.name


class AuthoredQuerySet[Row: "Authored"](HideableQuerySet[Row]):
    def visible(self) -> Self:
        """The rows that are not hidden, and whose author is not."""
        return super().visible().filter(author__hidden_at=None)

    def seen_by(self, viewer: Viewer) -> Self:
        """The rows with their author, and whether the viewer follows the author; any
        look-up beyond that is an error, and not a slow page."""
        return (
            self.select_related("author")
            .annotate(following=following(viewer, "author"))
            .fetch_mode(models.FETCH_RAISE)
        )

    def newest_first(self) -> Self:
        # Many rows can bear one instant: the id settles their order.
        return self.order_by("-created_at", "-id")


class Authored(Hideable):
    """What somebody wrote, and when."""

    author = models.ForeignKey(User, models.DB_CASCADE, related_name="%(class)ss", db_index=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(editable=False)

    class Meta:
        abstract = True

    def save(self, **options: Any) -> None:
        """Every save moves `updated_at`; the first one makes it equal to `created_at`."""
        self.updated_at = self.created_at if self._state.adding else timezone.now()
        if (fields := options.get("update_fields")) is not None:
            options["update_fields"] = {*fields, "updated_at"}
        super().save(**options)


class ArticleQuerySet(AuthoredQuerySet["Article"]):
    def with_slug(self, slug: str) -> Self:
        """The one article with this slug, unless it is hidden."""
        return self.visible().filter(slug=slug)

    def with_any_slug(self, slug: str) -> Self:
        """The one article that has this slug, or else the one that had it before."""
        live = Article.objects.filter(slug=slug).values("pk")
        old = OldSlug.objects.filter(slug=slug).values("article")
        return self.visible().filter(pk=Coalesce(models.Subquery(live), models.Subquery(old)))

    def seen_by(self, viewer: Viewer) -> Self:
        """With all that the API shows of an article beside its own columns and its author's."""
        return (
            super()
            .seen_by(viewer)
            .annotate(
                favorited=favorited(viewer),
                favorites_count=favorites_count(),
                tag_names=tag_names(),
            )
        )


class Article(Authored):
    slug = models.SlugField(max_length=255, db_index=False, editable=False)
    title = models.CharField(max_length=255, validators=[one_line])
    description = models.CharField(max_length=1000)
    body = models.TextField(max_length=BODY_LENGTH)
    tags = models.ManyToManyField(Tag, through="Tagging", related_name="articles")

    objects = ArticleQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["slug"], name="slug_once"),
            models.CheckConstraint(
                condition=~models.Q(slug__in=["", "feed"]), name="slug_not_feed"
            ),
            models.CheckConstraint(condition=~models.Q(title=""), name="title_given"),
            models.CheckConstraint(condition=~models.Q(description=""), name="description_given"),
            models.CheckConstraint(condition=~models.Q(body=""), name="body_given"),
            models.CheckConstraint(
                condition=LessThanOrEqual(Length("body"), BODY_LENGTH),
                name="body_length",
            ),
        ]
        indexes = [
            # Partial, so that a list does not read hidden articles to skip them. The included
            # column allows index-only scans that skip those of hidden users.
            models.Index(
                fields=["-created_at", "-id"],
                include=["author"],
                name="newest_visible_articles",
                condition=models.Q(hidden_at=None),
            ),
            # Not partial: the cascade of a deleted user uses it too. The included column allows
            # index-only scans that skip hidden articles.
            models.Index(
                fields=["author", "-created_at", "-id"],
                include=["hidden_at"],
                name="newest_of_author",
            ),
        ]

    def __str__(self) -> str:
        return self.title

    def save(self, **options: Any) -> None:
        """Save the article; a new title gets a new slug.

        The row is locked before the titles are compared. Without the lock, two writers could
        leave the title of one with the slug of the other.
        """
        fields = options.get("update_fields")
        if fields is not None and "title" not in fields:
            super().save(**options)
            return
        with transaction.atomic(savepoint=False):
            stored = None if self._state.adding else self._locked()
            if stored and stored.title == self.title:
                self.slug = stored.slug  # another writer may have changed it since it was loaded
                super().save(**options)
            else:
                self._save_with_new_slug(stored.slug if stored else "", options)

    def _locked(self) -> "Article | None":
        """The stored title and slug; other writers of the row wait until the transaction ends.

        Comments and favorites do not wait: their foreign keys need the id alone.
        """
        rows = Article.objects.select_for_update(no_key=True).only("title", "slug")
        return rows.filter(pk=self.pk).first()

    def _save_with_new_slug(self, last: str, options: dict[str, Any]) -> None:
        """Save with the first slug that the database accepts: no two articles have one slug,
        even when they are written at the same moment."""
        if (fields := options.get("update_fields")) is not None:
            options["update_fields"] = {*fields, "slug"}
        for slug in slugs_for(self.title, except_for=last):
            self.slug = slug
            try:
                with transaction.atomic():
                    super().save(**options)
            except IntegrityError as error:
                if violated_constraint(error) not in ("slug_once", "old_slug_once"):
                    raise
            else:
                return


class OldSlug(models.Model):
    """A slug that an article had before; its URLs redirect to the article.

    The database writes and deletes these rows, and refuses an old slug to every other article
    (`migrations/0008_old_slugs.py`).
    """

    slug = models.SlugField(max_length=255, db_index=False)
    article = models.ForeignKey(
        Article, models.DB_CASCADE, related_name="old_slugs", db_index=False
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["slug"], name="old_slug_once")]
        indexes = [models.Index(fields=["article"], name="old_slugs_of_article")]

    def __str__(self) -> str:
        return self.slug


class OfArticleQuerySet[Row: "OfArticle"](models.QuerySet[Row]):
    def newest_first(self) -> Self:
        """In the order of the articles."""
        return self.order_by("-article_created_at", "-article_id")


class OfArticle(models.Model):
    """A row that lists an article, with copies of the article's columns that lists go by.
    Triggers keep them, so nobody needs to give them; whatever is given gives way.

    An index holds columns of one table alone. Without these, the newest articles of a tag are
    found by sorting all of them, or by reading the newest articles of the site until enough of
    them carry the tag: 9.6 s at a million articles.
    """

    # The defaults serve rows whose article does not exist: they live until their foreign key
    # is checked. That of the author would be checked for nothing.
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


class Tagging(OfArticle):
    """That an article carries a tag."""

    article = models.ForeignKey(Article, models.DB_CASCADE, related_name="taggings", db_index=False)
    tag = models.ForeignKey(Tag, models.DB_CASCADE, related_name="taggings", db_index=False)
    # Favorites have no such copy: to hide an article would update all of its favorites.
    article_hidden = models.BooleanField(db_default=False, editable=False)

    objects = OfArticleQuerySet["Tagging"].as_manager()

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
        return f"article {self.article_id} carries tag {self.tag_id}"


class FavoriteQuerySet(OfArticleQuerySet["Favorite"]):
    def by(self, viewer: Viewer) -> Self:
        return self.filter(user=viewer.pk)


class Favorite(OfArticle):
    """That somebody likes an article; authors may like their own."""

    user = models.ForeignKey(User, models.DB_CASCADE, related_name="favorites", db_index=False)
    article = models.ForeignKey(
        Article, models.DB_CASCADE, related_name="favorites", db_index=False
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
        return f"user {self.user_id} likes article {self.article_id}"


def favorited(viewer: Viewer) -> Coalesce | models.Value:
    """Whether the viewer likes the article of the outer query."""
    if viewer.pk is None:
        return models.Value(False)
    return there_is(Favorite.objects.by(viewer).filter(article=models.OuterRef("pk")))


def favorites_count() -> Coalesce:
    """How many like the article of the outer query."""
    return tallied(Tally.Counted.FAVORITES_OF_ARTICLE, models.OuterRef("pk"))


def tag_names() -> ArraySubquery:
    """The names of the tags of the article of the outer query, sorted by code point."""
    # Each name by a look-up of its own. Of a join PostgreSQL thinks that reading all tags costs
    # less, for each article anew: 2 ms a page with a thousand tags.
    name = models.Subquery(Tag.objects.filter(pk=models.OuterRef("tag")).values("name")[:1])
    taggings = Tagging.objects.filter(article=models.OuterRef("pk"))
    return ArraySubquery(taggings.annotate(name=Collate(name, "C")).order_by("name").values("name"))


class Comment(Authored):
    article = models.ForeignKey(Article, models.DB_CASCADE, related_name="comments", db_index=False)
    body = models.TextField(max_length=COMMENT_LENGTH, validators=[visible])

    objects = AuthoredQuerySet["Comment"].as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~models.Q(body=""), name="comment_given"),
            models.CheckConstraint(
                condition=LessThanOrEqual(Length("body"), COMMENT_LENGTH), name="comment_length"
            ),
        ]
        indexes = [
            models.Index(
                fields=["article", "-created_at", "-id"],
                include=["author", "hidden_at"],
                name="newest_comments_of_article",
            ),
            # For the end of a user alone.
            models.Index(fields=["author"], name="comments_of_author"),
        ]

    def __str__(self) -> str:
        return f"{self.author_id} on article {self.article_id}"
