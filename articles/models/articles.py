"""Articles and their old slugs."""

from typing import Any, Self

from django.db import IntegrityError, models, transaction
from django.db.models.functions import Coalesce, Length
from django.db.models.lookups import LessThanOrEqual

from articles.models.authored import Authored, AuthoredQuerySet
from articles.models.favorites import favorited, favorites_count
from articles.models.tags import Tag, tag_names
from articles.slugs import slugs_for
from articles.texts import one_line
from database.errors import violated_constraint

BODY_LENGTH = 200_000


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
    """A slug that an article had before. Its URLs redirect to the article.

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
