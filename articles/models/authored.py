"""Rows that have an author: articles and comments."""

from typing import Any, Self

from django.db import models
from django.utils import timezone

from profiles.models import following
from users.models import User
from users.visibility import Hideable, HideableQuerySet


class AuthoredQuerySet[Row: "Authored"](HideableQuerySet[Row]):
    def visible(self) -> Self:
        """The rows that are not hidden and whose author is not hidden."""
        return super().visible().filter(author__hidden_at=None)

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


class Authored(Hideable):
    """A text with its author and the times of its creation and last change."""

    author = models.ForeignKey(User, models.DB_CASCADE, related_name="%(class)ss", db_index=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(editable=False)

    class Meta:
        abstract = True

    def save(self, **options: Any) -> None:
        """Save, and set `updated_at`. On the first save it is equal to `created_at`."""
        self.updated_at = self.created_at if self._state.adding else timezone.now()
        if (fields := options.get("update_fields")) is not None:
            options["update_fields"] = {*fields, "updated_at"}
        super().save(**options)
