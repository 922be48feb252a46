"""Hidden rows: no answer and no count includes them, and they can be shown again unchanged."""

from typing import Any

from django.db import models


class Hideable(models.Model):
    """A model whose rows can be hidden by a moderator, or because they are being deleted.

    A row of a hidden user is not visible either, even if its own `hidden_at` is NULL. To hide a
    row, set `hidden_at`; plain SQL may do it too, because triggers update the counts.
    """

    hidden_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        abstract = True

    @classmethod
    def values_when_deleted(cls) -> dict[str, Any]:
        """The values that a row gets when its deletion is queued, by column."""
        return {"hidden_at": models.functions.Now()}
