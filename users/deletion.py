"""Deletion of rows of any size: small ones at once, large ones in batches after the answer.

A user with 20,000 articles, or an article with 150,000 comments, cannot be deleted within one
request. Such a row is hidden and queued as a `Deletion`, and `users.queue_worker` empties the
queue. The batches contain the rows that `ON DELETE CASCADE` would delete in one statement.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import timedelta
from time import monotonic
from typing import Any, Self

from django.apps import apps
from django.db import connection, models, transaction
from django.db.models.functions import Now

from database.backend import lift_timeouts
from users.queued_work import work_queued
from users.retries import retry_after_deadlock
from users.visibility import Hideable

SMALL = 1_000  # rows that are deleted at once; takes PostgreSQL 50 ms with index entries and counts
BATCH = 1_000  # rows in a transaction; limits how long other writers wait for its locks
LEASE = timedelta(seconds=30)  # longer than a batch can take with the statement timeout


class DeletionQuerySet(models.QuerySet["Deletion"]):
    def of(self, row: models.Model) -> Self:
        return self.filter(model=_label(type(row)), row_id=row.pk)

    def claim(self) -> "ClaimedDeletions | None":
        """Reserve the oldest free deletion, and others of the same model, for LEASE. Returns None
        if no deletion is free."""
        with transaction.atomic():
            free = self.filter(models.Q(claimed_until=None) | models.Q(claimed_until__lt=Now()))
            free = free.order_by("pk").select_for_update(skip_locked=True)
            oldest = free.first()
            if oldest is None:
                return None
            row_ids = free.filter(model=oldest.model).values_list("row_id", flat=True)[:BATCH]
            claim = ClaimedDeletions(oldest.model, [*row_ids])
            claim.extend()
        return claim


class Deletion(models.Model):
    """A queued deletion of a row and everything that belongs to it."""

    model = models.CharField(max_length=100)  # such as "articles.article"
    row_id = models.BigIntegerField()
    requested_at = models.DateTimeField(db_default=Now())
    claimed_until = models.DateTimeField(null=True)

    objects = DeletionQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["model", "row_id"], name="deletion_once"),
        ]

    def __str__(self) -> str:
        return f"{self.model} {self.row_id}"


class ClaimedDeletions:
    """Deletions of one model that are reserved for this process."""

    def __init__(self, label: str, row_ids: list[int]) -> None:
        self.label = label
        self.row_ids = row_ids
        self._deletions = Deletion.objects.filter(model=label, row_id__in=row_ids)
        self._extend_at = 0.0

    def __str__(self) -> str:
        return f"{len(self.row_ids)} of {self.label}, the first with id {self.row_ids[0]}"

    def extend(self) -> None:
        """Reserve them for another LEASE."""
        self._deletions.update(claimed_until=Now() + LEASE)
        self._extend_at = monotonic() + LEASE.total_seconds() / 2

    def release(self) -> None:
        """Let other processes claim the remaining deletions."""
        self._deletions.update(claimed_until=None)

    def run(self) -> Iterator[int]:
        """Delete everything, with one transaction for each batch. Yields the rows of each batch.

        The caller may stop after any batch: when the lease ends, another process can continue.
        Raises LookupError if there is no such model.
        """
        model = apps.get_model(self.label)
        for batch in _batches_below(model, self.row_ids):
            with transaction.atomic():
                deleted = batch.delete()[0]
                if monotonic() >= self._extend_at:
                    self.extend()
            yield deleted
        with transaction.atomic():
            deleted = model._base_manager.filter(pk__in=self.row_ids).delete()[0]
            self._deletions.delete()
        yield deleted


def delete(rows: models.QuerySet[Any]) -> bool:
    """Delete the rows and everything that belongs to them. Returns whether they are deleted.

    If they are too many for one request, returns False: each row is hidden, a user is also
    deactivated, and a `Deletion` is queued for it.
    """
    if sum(counts_below(rows, SMALL).values()) <= SMALL:
        # The cascades of two deletions may lock the same rows in different orders, for example if
        # two users like each other's articles.
        retry_after_deadlock(rows.delete)
        return True
    enqueue(rows)
    return False


def enqueue(rows: models.QuerySet[Any]) -> None:
    """Hide the rows and queue their deletion, even if it is small."""
    label = _label(rows.model)
    selected, parameters = rows.order_by().values("pk").query.sql_with_params()
    with transaction.atomic():
        # Hiding a popular author takes long: a trigger updates the count of each favorite.
        lift_timeouts()
        with connection.cursor() as cursor:
            # The ids stay in the database, because there may be a million.
            cursor.execute(
                "INSERT INTO users_deletion (model, row_id)"  # noqa: S608 -- Django's own SQL
                f" SELECT %s, id FROM ({selected}) AS selected (id) ORDER BY id"
                " ON CONFLICT DO NOTHING",
                [label, *parameters],
            )
        if issubclass(rows.model, Hideable):
            deletions = Deletion.objects.filter(model=label).values("row_id")
            queued = rows.model._base_manager.filter(pk__in=deletions)
            # Wait for a moderator who restores one of them at this moment.
            hidden = queued.exclude(hidden_at=None).order_by("pk").select_for_update()
            for _ in hidden.values_list("pk").iterator():
                pass
            values = rows.model.values_when_queued()
            queued.filter(hidden_at=None).update(**values)
            # A user who was hidden before may be active.
            del values["hidden_at"]
            if values:
                queued.exclude(**values).update(**values)
        transaction.on_commit(work_queued.set)


def _label(model: type[models.Model]) -> str:
    return (model._meta.concrete_model or model)._meta.label_lower


def counts_below(rows: models.QuerySet[Any], limit: int) -> Counter[type[models.Model]]:
    """How many rows of each model would be deleted with `rows`, including `rows`.

    Counting stops early: a count above `limit` means "more than `limit`".
    """
    parts = defaultdict(list)
    for each in (rows, *_rows_below(rows)):
        parts[each.model].append(each.order_by().values("pk")[: limit + 1])
    # A union, because a row may belong to its parents in two ways, such as a user's favorite of
    # their own article.
    return Counter({model: found[0].union(*found[1:]).count() for model, found in parts.items()})


def _rows_below(rows: models.QuerySet[Any]) -> Iterator[models.QuerySet[Any]]:
    for field in _foreign_keys_to(rows.model):
        pks = rows.order_by().values("pk")
        below = field.model._base_manager.filter(**{f"{field.name}__in": pks})
        yield below
        yield from _rows_below(below)


def _batches_below(model: type[models.Model], pks: Sequence[int]) -> Iterator[models.QuerySet[Any]]:
    """Batches of the rows that belong to these rows, children before their parents. Delete each
    batch before you ask for the next one."""
    for field in _foreign_keys_to(model):
        rows = field.model._base_manager.filter(**{f"{field.name}__in": pks})
        while batch := [*rows.values_list("pk", flat=True)[:BATCH]]:
            yield from _batches_below(field.model, batch)
            yield field.model._base_manager.filter(pk__in=batch)


def _foreign_keys_to(model: type[models.Model]) -> list[models.ForeignKey[Any, Any]]:
    """The foreign keys that PostgreSQL follows when it deletes a row of the model."""
    concrete = model._meta.concrete_model or model
    return [
        relation.field
        for relation in concrete._meta.get_fields(include_hidden=True)
        if isinstance(relation, models.ManyToOneRel) and relation.on_delete is models.DB_CASCADE
    ]
