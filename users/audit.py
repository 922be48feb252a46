"""The audit log: who did what in the admin, when, and why."""

from collections.abc import Iterable
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import models
from django.db.models.functions import Now

MAX_ENTRIES = 1_000  # entries of an action, one for each row; one more entry counts the other rows
NAME_LENGTH = 255


class Action(models.TextChoices):
    ADD = "add", "Added"
    CHANGE = "change", "Changed"
    DELETE = "delete", "Deleted"
    HIDE = "hide", "Hidden"
    RESTORE = "restore", "Restored"
    SUSPEND = "suspend", "Suspended"
    LOG_OUT = "log_out", "Logged out everywhere"
    MERGE = "merge", "Merged"
    RENAME = "rename", "Renamed"


class AuditEntry(models.Model):
    """One action of an editor on one row, or on the rows beyond the first MAX_ENTRIES.

    A trigger refuses to change or delete entries (`migrations/0007_audit.py`). Entries have no
    foreign keys: they stay when the editor or the row is deleted.
    """

    at = models.DateTimeField("time", db_default=Now(), editable=False)
    actor_id = models.BigIntegerField(editable=False)
    # The index of a column with this collation also finds names by their first characters.
    actor_name = models.CharField(
        "editor", max_length=NAME_LENGTH, db_collation="C", editable=False
    )
    action = models.CharField(max_length=20, choices=Action, editable=False)
    model = models.CharField("kind", max_length=100, editable=False)  # such as "articles.article"
    object_id = models.CharField(max_length=64, blank=True, editable=False)  # "": several rows
    object_name = models.CharField("object", max_length=NAME_LENGTH, blank=True, editable=False)
    reason = models.TextField(blank=True, editable=False)
    details = models.TextField(blank=True, editable=False)

    class Meta:
        default_permissions = ("view",)
        verbose_name_plural = "audit entries"
        indexes = [
            models.Index(fields=["-at", "-id"], name="newest_audit_entries"),
            models.Index(fields=["actor_name", "-at", "-id"], name="audit_entries_of_actor"),
            models.Index(fields=["action", "-at", "-id"], name="audit_entries_of_action"),
            models.Index(fields=["model", "object_id", "-at", "-id"], name="audit_entries_of_row"),
        ]

    def __str__(self) -> str:
        return f"{self.actor_name}: {self.get_action_display()} {self.object_name}"


def record(
    actor: AbstractBaseUser,
    action: Action,
    rows: models.QuerySet[Any] | Iterable[models.Model],
    *,
    reason: str = "",
    details: str = "",
) -> None:
    """Write entries about the rows. Call it in the transaction of the action, before rows are
    deleted.

    For a queryset, each of the first MAX_ENTRIES rows gets an entry. One more entry counts the
    others.
    """
    more = 0
    if isinstance(rows, models.QuerySet):
        more, kind = rows.count() - MAX_ENTRIES, rows.model
        rows = rows[:MAX_ENTRIES]
    common = {
        "actor_id": actor.pk,
        "actor_name": str(actor)[:NAME_LENGTH],
        "action": action,
        "reason": reason,
        "details": details,
    }
    entries = [_entry_of(row, common) for row in rows]
    if more > 0:
        name = f"{more:,} more {kind._meta.verbose_name_plural}"
        entries.append(AuditEntry(model=kind._meta.label_lower, object_name=name, **common))
    AuditEntry.objects.bulk_create(entries)


def _entry_of(row: models.Model, common: dict[str, Any]) -> AuditEntry:
    name = str(row)[:NAME_LENGTH]
    label = row._meta.label_lower
    return AuditEntry(model=label, object_id=str(row.pk), object_name=name, **common)
