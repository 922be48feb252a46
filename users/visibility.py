"""Hidden rows: no list, page or count includes them. They can be shown again unchanged."""

from typing import Any

from django.db import models

# True for every row. Only queries of the admin state it, and their indexes have it as a condition.
# So PostgreSQL cannot use these indexes for the API. On a small table it would prefer them, because
# they are newer, and keep that plan while the table grows.
IN_ADMIN = models.Q(id__gt=-(2**62))


class Hideable(models.Model):
    """A model whose rows can be hidden by a moderator, or because they are being deleted.

    A row of a hidden user is not visible either, even if its own `hidden_at` is NULL. To hide a
    row, set `hidden_at`, for example with SQL: triggers update the counts
    (`users.visibility_changes`). A hidden user can still log in, unless they are suspended
    (`users.moderation`).
    """

    hidden_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        abstract = True

    @classmethod
    def values_when_queued(cls) -> dict[str, Any]:
        """The values that a row gets when its deletion is queued, by column."""
        return {"hidden_at": models.functions.Now()}
