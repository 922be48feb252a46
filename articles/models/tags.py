"""Tags and taggings."""

from collections.abc import Iterable

from django.contrib.postgres.expressions import ArraySubquery
from django.db import models
from django.db.models.functions import Collate

from articles.models.entries import ArticleEntry, ArticleEntryQuerySet
from articles.texts import one_line


class TagQuerySet(models.QuerySet["Tag"]):
    def named(self, names: Iterable[str]) -> "list[Tag]":
        """The tags with these names. Missing tags are created.

        They are created in the order of their names: two writers that create the same tags in
        opposite order would deadlock.
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
        return f"tag {self.tag_id} of article {self.article_id}"


def tag_names() -> ArraySubquery:
    """The tag names of the article of the outer query, sorted by code point."""
    # One index lookup for each name. For a join PostgreSQL reads all tags for each article,
    # because it estimates a lower cost: 2 ms a page with a thousand tags.
    name = models.Subquery(Tag.objects.filter(pk=models.OuterRef("tag")).values("name")[:1])
    taggings = Tagging.objects.filter(article=models.OuterRef("pk"))
    return ArraySubquery(taggings.annotate(name=Collate(name, "C")).order_by("name").values("name"))
