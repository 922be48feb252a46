"""Rows that are hidden: in no answer and in no count, and restored unchanged."""

from typing import Any, Self

from django.db import models


class HideableQuerySet[Row: models.Model](models.QuerySet[Row]):
    def visible(self) -> Self:
        return self.filter(hidden_at=None)


class Hideable(models.Model):
    """A model whose rows can be hidden: by a moderator, or because they are being deleted.

    A row that belongs to a hidden user is not visible either, whatever its own mark says.
    Setting `hidden_at` is enough, also by SQL: triggers keep the counts.
    """

    hidden_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        abstract = True

    @classmethod
    def values_when_deleted(cls) -> dict[str, Any]:
        """The columns to set on a row whose deletion has been requested."""
        return {"hidden_at": models.functions.Now()}
