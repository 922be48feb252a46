"""Articles with their old slugs, and comments.

When a user or an article is deleted, the database deletes every row that belongs to it
(`DB_CASCADE`), even if other transactions write at the same moment. Tags stay.
"""

from datetime import timedelta
from typing import Any, Self

from django.contrib.postgres.fields import ArrayField
from django.db import IntegrityError, connection, models, transaction
from django.db.models import F
from django.db.models.functions import Coalesce, Greatest, Length
from django.db.models.lookups import LessThanOrEqual
from django.utils import timezone

from articles.page_keys import PageKey, comes_after
from articles.search import SearchQuerySet
from articles.slugs import slugs_for
from articles.texts import one_line, shortened, visible
from database.errors import violated_constraint
from profiles.models import following
from users.models import User
from users.visibility import IN_ADMIN, Hideable

BODY_LENGTH = 200_000
COMMENT_LENGTH = 10_000


# Those that the article does not have yet.
LOCK_NEW_TAGS = """
    SELECT FROM articles_tag WHERE id = ANY (%s) AND id NOT IN (
        SELECT tag_id FROM articles_tagging WHERE article_id = %s
    ) ORDER BY id FOR KEY SHARE
"""
# Whether the lock was free. True for an author who does not exist.
LOCK_AUTHOR_IF_FREE = """
    WITH free AS (SELECT id FROM users_user WHERE id = %(author)s FOR KEY SHARE SKIP LOCKED)
    SELECT (SELECT count(*) FROM free) = (SELECT count(*) FROM users_user WHERE id = %(author)s)
"""
LOCK_AUTHOR = "SELECT FROM users_user WHERE id = %(author)s FOR KEY SHARE"


class AuthoredQuerySet[Row: "Authored"](SearchQuerySet[Row]):
    def visible(self) -> Self:
        """The rows that are not hidden and whose author is not hidden."""
        return self.filter(hidden_at=None, author__hidden_at=None)

    def seen_by(self, viewer: int | None) -> Self:
        """The rows with their author and `following`: whether the viewer follows the author.

        Loading any other column later raises an error, instead of one query for each row.
        """
        return (
            self.select_related("author")
            .annotate(following=following(viewer, "author"))
            .fetch_mode(models.FETCH_RAISE)
        )

    def newest_first(self) -> Self:
        # Rows may have the same time. The id makes their order unique.
        return self.order_by("-created_at", "-id")

    def after(self, key: PageKey | None) -> Self:
        """The rows that come after the key in the order `newest_first`. None is no limit."""
        return self if key is None else self.filter(comes_after(key, "created_at", "id"))


class Authored(Hideable):
    """A text with its author and the times of its creation and last change."""

    author = models.ForeignKey(User, models.DB_CASCADE, related_name="%(class)ss", db_index=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(editable=False)

    class Meta:
        abstract = True

    def save(self, **options: Any) -> None:
        """Save, and set `updated_at`. On the first save it is equal to `created_at`.

        Each later save increases it by a millisecond or more, although the clock of the machine
        that saved last may be ahead of the clock of this one.
        """
        later = F("updated_at") + timedelta(milliseconds=1)
        self.updated_at = self.created_at if self._state.adding else Greatest(timezone.now(), later)
        if (fields := options.get("update_fields")) is not None:
            options["update_fields"] = {*fields, "updated_at"}
        super().save(**options)


class ArticleQuerySet(AuthoredQuerySet["Article"]):
    def with_slug(self, slug: str) -> Self:
        """The article with this slug, unless it is hidden."""
        return self.visible().filter(slug=slug)

    def with_any_slug(self, slug: str) -> Self:
        """The article that has this slug now, or else the article that had it before."""
        live = Article.objects.filter(slug=slug).values("pk")
        old = OldSlug.objects.filter(slug=slug).values("article")
        return self.visible().filter(pk=Coalesce(models.Subquery(live), models.Subquery(old)))

    def seen_by(self, viewer: int | None) -> Self:
        """The articles with everything that the API shows of them."""
        return (
            super()
            .seen_by(viewer)
            .annotate(favorited=favorited(viewer), favorites_count=favorites_count())
        )


class Article(Authored):
    slug = models.SlugField(max_length=255, db_index=False, editable=False)
    title = models.CharField(max_length=255, validators=[one_line])
    description = models.CharField(max_length=1000)
    body = models.TextField(max_length=BODY_LENGTH)
    tags: "models.ManyToManyField[Tag, Tagging]" = models.ManyToManyField(
        "Tag", through="Tagging", related_name="articles"
    )
    # A copy, sorted by code point. Triggers set it and overwrite any value supplied
    # (`migrations/sql/tag_names.sql`). A new article with the right names needs no second write.
    tag_names = ArrayField(models.TextField(), db_default=[], editable=False)

    objects = ArticleQuerySet.as_manager()

    class Meta:
        permissions = [("hide_article", "Can hide and restore articles")]
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
            # The list of the admin includes hidden articles, and can show only them.
            models.Index(fields=["-created_at", "-id"], name="newest_articles", condition=IN_ADMIN),
            models.Index(
                fields=["-created_at", "-id"],
                name="newest_hidden_articles",
                condition=models.Q(hidden_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.title

    def save(self, **options: Any) -> None:
        """Save the article. A new title gets a new slug.

        The row is locked before the titles are compared. Without the lock, two writers could
        store the title of one with the slug of the other.
        """
        fields = options.get("update_fields")
        if fields is not None and "title" not in fields:
            super().save(**options)
            return
        with transaction.atomic(savepoint=False):
            stored = None if self._state.adding else self._locked()
            if stored and stored.title == self.title:
                self.slug = stored.slug  # another writer may have changed it after it was loaded
                super().save(**options)
            else:
                self._save_with_new_slug(stored.slug if stored else "", options)

    def lock_tags(self, new: "list[Tag]") -> None:
        """Lock what a change of the tags to `new` locks, in an order that prevents deadlocks
        (`migrations/sql/tag_names.sql`). Call it in a transaction that holds no lock of the
        article."""
        with connection.cursor() as cursor:
            cursor.execute(LOCK_NEW_TAGS, [[tag.pk for tag in new], self.pk])
            author = {"author": self.author_id}
            taggings = Tagging.objects.filter(article=self.pk).order_by("pk").values("pk")
            while True:
                with transaction.atomic():
                    self._locked()
                    # A second update of the article in one transaction checks the foreign key of
                    # the author. The deletion of a user locks the user before the articles.
                    cursor.execute(LOCK_AUTHOR_IF_FREE, author)
                    (is_free,) = cursor.fetchone()
                    free = taggings.select_for_update(skip_locked=True)
                    if is_free and len(free) == taggings.count():
                        return
                    transaction.set_rollback(True)
                # Another transaction has locked the author or taggings and will lock the article.
                # Wait, without a lock of the article, until that transaction ends.
                with transaction.atomic():
                    cursor.execute(LOCK_AUTHOR, author)
                    len(taggings.select_for_update())
                    transaction.set_rollback(True)

    def _locked(self) -> "Article | None":
        """Lock the row until the transaction ends; return its title and slug, or None.

        New comments and favorites do not wait for the lock, because it does not cover the id.
        """
        rows = Article.objects.select_for_update(no_key=True).only("title", "slug")
        return rows.filter(pk=self.pk).first()

    def _save_with_new_slug(self, last: str, options: dict[str, Any]) -> None:
        """Save with the first slug that the database accepts.

        The unique constraints decide, so two transactions at the same time cannot use one slug.
        """
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
    """A slug that an article had before. URLs with this slug redirect to the article.

    Triggers write and delete these rows, and refuse an old slug to every other article
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


class Comment(Authored):
    article = models.ForeignKey(Article, models.DB_CASCADE, related_name="comments", db_index=False)
    body = models.TextField(max_length=COMMENT_LENGTH, validators=[visible])

    objects = AuthoredQuerySet["Comment"].as_manager()

    class Meta:
        permissions = [("hide_comment", "Can hide and restore comments")]
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
            # The cascade of a deleted user uses it too.
            models.Index(fields=["author", "-created_at", "-id"], name="newest_comments_of_author"),
            # For the lists of the admin.
            models.Index(fields=["-created_at", "-id"], name="newest_comments", condition=IN_ADMIN),
            models.Index(
                fields=["-created_at", "-id"],
                name="newest_hidden_comments",
                condition=models.Q(hidden_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        title, start = shortened(self.article.title, 60), shortened(self.body, 80)
        return f"Comment by {self.author} on “{title}”: {start}"


# At the end: `dumpdata` writes the models in the order of their definition. If `loaddata` loads the
# favorites of a hidden article before the article, the triggers count them.
from articles.entries import Favorite as Favorite  # noqa: E402 -- Django looks for models here
from articles.entries import Tag as Tag  # noqa: E402
from articles.entries import Tagging as Tagging  # noqa: E402
from articles.entries import favorited, favorites_count  # noqa: E402
from articles.tag_merges import TagMerge as TagMerge  # noqa: E402
