"""Favorites, and the columns of an article that come from them."""

from django.db import models
from django.db.models.functions import Coalesce
from django.utils import timezone

from articles.counts import CountKind, stored_count
from articles.models.entries import ArticleEntry, ArticleEntryQuerySet
from users.models import User, row_exists


class Favorite(ArticleEntry):
    """A user likes an article. Authors may like their own articles."""

    user = models.ForeignKey(User, models.DB_CASCADE, related_name="favorites", db_index=False)
    article = models.ForeignKey(
        "Article", models.DB_CASCADE, related_name="favorites", db_index=False
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = ArticleEntryQuerySet["Favorite"].as_manager()

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


def favorited(viewer: int | None) -> Coalesce | models.Value:
    """Whether the viewer likes the article of the outer query."""
    if viewer is None:
        return models.Value(False)
    return row_exists(Favorite.objects.filter(user=viewer, article=models.OuterRef("pk")))


def favorites_count() -> Coalesce:
    """The number of users who like the article of the outer query."""
    return stored_count(CountKind.FAVORITES_OF_ARTICLE, models.OuterRef("pk"))
