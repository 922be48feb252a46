"""Hiding and restoring any number of rows: few at once, many in the background, in batches."""

from typing import Any

from django.apps import apps
from django.db import connection, models, transaction
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now

from database.backend import lift_timeouts
from users.deletion import Deletion
from users.queued_work import QueuedWork, work_queued

AT_ONCE = 1_000  # rows; to hide an article takes PostgreSQL 0.2 ms, with its counts
BATCH = 1_000

type Rows = models.QuerySet[Any]


class VisibilityChange(QueuedWork):
    """A row that will be hidden or restored."""

    model = models.CharField(max_length=100)  # such as "articles.article"
    row_id = models.BigIntegerField()
    hide = models.BooleanField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["model", "row_id"], name="visibility_change_once"),
        ]

    def __str__(self) -> str:
        return f"{'hide' if self.hide else 'restore'} {self.model} {self.row_id}"

    @classmethod
    def run_batch(cls) -> str:
        with transaction.atomic():
            lift_timeouts()
            queue = cls.objects.order_by("pk").select_for_update(skip_locked=True)
            entries = [*queue[:BATCH]]
            if not entries:
                return ""
            label, hide = entries[0].model, entries[0].hide
            batch = [entry for entry in entries if (entry.model, entry.hide) == (label, hide)]
            model = apps.get_model(label)
            _change(model._base_manager.filter(pk__in=[e.row_id for e in batch]), hide)
            cls.objects.filter(pk__in=[entry.pk for entry in batch]).delete()
        return f"{'Hid' if hide else 'Restored'} {len(batch):,} rows of {label}"


def changeable(rows: Rows, *, hide: bool) -> Rows:
    """Those of the rows that can be hidden, or restored: without those that are hidden, or visible,
    already, unless the opposite is queued; and without rows whose deletion is queued. The result
    has no joins and no order."""
    rows = not_being_deleted(rows)
    condition = Q(hidden_at__isnull=hide)
    opposite = VisibilityChange.objects.filter(model=rows.model._meta.label_lower, hide=not hide)
    # Only then, because PostgreSQL would read all rows in place of the index of the hidden ones.
    if opposite.exists():
        condition |= Q(Exists(opposite.filter(row_id=OuterRef("pk"))))
    return rows.filter(condition)


def not_being_deleted(rows: Rows) -> Rows:
    """The rows without those whose deletion is queued. The result has no joins and no order."""
    label = rows.model._meta.label_lower
    deletions = Deletion.objects.filter(model=label, row_id=OuterRef("pk"))
    plain: Rows = rows.model._base_manager.filter(pk__in=rows.order_by().values("pk"))
    return plain.exclude(Exists(deletions))


def locked(rows: Rows) -> Rows:
    """The rows, locked until the transaction ends. If they are more than AT_ONCE: the object
    `rows` itself, and not all of its rows are locked.

    A deletion of a locked row cannot be queued before the transaction ends.
    """
    # In this order, so that two moderators do not deadlock. `no_key`, because the trigger that
    # hides a user locks the articles before the id of the user.
    ordered = rows.order_by("pk").select_for_update(no_key=True)
    pks = [*ordered.values_list("pk", flat=True)[: AT_ONCE + 1]]
    if len(pks) > AT_ONCE:
        return rows
    # A later statement, which sees the deletions that were queued before the rows were locked.
    return not_being_deleted(rows.model._base_manager.filter(pk__in=pks))


def change_visibility(rows: Rows, *, hide: bool) -> bool:
    """Hide or restore the rows. Returns False if they are more than AT_ONCE, and will be hidden or
    restored in the background.

    Does not change `updated_at`. Triggers change the counts.
    """
    with transaction.atomic():
        lift_timeouts()  # to hide a user takes long if they have very many articles
        changing = changeable(rows, hide=hide)
        few = locked(changing)
        if few is changing:
            _enqueue(changing, hide)
            transaction.on_commit(work_queued.set)
            return False
        label = rows.model._meta.label_lower
        VisibilityChange.objects.filter(model=label, row_id__in=few.values("pk")).delete()
        _change(few, hide)
    return True


def _change(rows: Rows, hide: bool) -> None:
    changeable(locked(rows), hide=hide).update(hidden_at=Now() if hide else None)


def _enqueue(rows: Rows, hide: bool) -> None:
    selected, parameters = rows.values("pk").query.sql_with_params()
    with connection.cursor() as cursor:
        # The ids stay in the database, because there may be a million. The last decision wins.
        cursor.execute(
            "INSERT INTO users_visibilitychange (model, row_id, hide)"  # noqa: S608 -- Django's own SQL
            f" SELECT %s, id, %s FROM ({selected}) AS selected (id) ORDER BY id"
            " ON CONFLICT (model, row_id)"
            " DO UPDATE SET hide = excluded.hide, requested_at = excluded.requested_at",
            [rows.model._meta.label_lower, hide, *parameters],
        )
