"""Finds and repairs usernames and e-mails that are not stored as the model stores them, because
plain SQL or an earlier version with other rules has written them."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from django.core.management.base import CommandError
from django.db import IntegrityError, connections, models, reset_queries, transaction
from django.db.models import Q

from users.names import fold, nfc

COLUMNS = {"username": "username_folded", "email": "email_folded"}
BATCH = 5000  # rows
SHOWN = 20  # pairs of accounts in an error message

CONFLICTS = """\
These pairs of accounts have the same username or e-mail, because case, compatible letter forms and
invisible characters do not count:
{pairs}
Change one account of each pair (UPDATE users_user SET username = …), then run this command again.
All other accounts are correct."""

WRITE = """
    UPDATE {table} SET {column} = fresh.text, {folded} = fresh.folded
    FROM unnest(%s::bigint[], %s::text[], %s::text[]) AS fresh (id, text, folded)
    WHERE {table}.id = fresh.id
"""


class Row(NamedTuple):
    pk: int
    text: str
    folded: str

    @property
    def correct(self) -> "Row":
        return Row(self.pk, nfc(self.text), fold(self.text))


class NameRepair:
    """Repairs one column of users and its folded column. `users` contains all users, of the real
    model or of a migration's model."""

    def __init__(self, users: models.QuerySet[Any], column: str) -> None:
        # The manager's queryset would refuse to write only a folded column.
        self._users: models.QuerySet[Any] = models.QuerySet(users.model, using=users.db)
        self._columns = ("pk", column, COLUMNS[column])
        self._write_sql = WRITE.format(
            table=users.model._meta.db_table, column=column, folded=COLUMNS[column]
        )
        self.repaired = 0

    def wrong(self) -> Iterator[list[int]]:
        """The ids of the wrong rows, in one list for each batch that is read."""
        last = 0
        while rows := self._rows(self._users.filter(pk__gt=last).order_by("pk")[:BATCH]):
            last = rows[-1].pk
            yield [row.pk for row in rows if row != row.correct]

    def run(self) -> dict[int, int]:
        """Repair as many rows as possible, with one transaction for each batch.

        Returns the id of each row that is still wrong, with the id of the user who has its name.
        """
        blocked: list[int] = []
        for wrong in self.wrong():
            blocked += self._repair(wrong)
            reset_queries()  # with DEBUG, Django keeps all statements in memory
        # Try again: a row may need a name that a row of a later batch has given up.
        return self._repair(blocked)

    def _rows(self, users: models.QuerySet[Any]) -> list[Row]:
        return [Row(*values) for values in users.values_list(*self._columns)]

    def _repair(self, pks: list[int], attempts: int = 10) -> dict[int, int]:
        if not pks:
            return {}
        try:
            with transaction.atomic(using=self._users.db):
                return self._repair_locked(pks)
        except IntegrityError:
            # Another transaction has taken a name meanwhile. The next attempt finds its row.
            if attempts == 1:
                raise
            return self._repair(pks, attempts - 1)

    def _repair_locked(self, pks: list[int]) -> dict[int, int]:
        locked = self._users.select_for_update().filter(pk__in=pks).order_by("pk")
        rows = [row for row in self._rows(locked) if row != row.correct]
        holders = self._holders(rows)
        blocked = _blocked(rows, holders)
        free = [row for row in rows if row.pk not in blocked]
        # PostgreSQL checks a unique constraint after each row, not after the statement. So a row
        # that holds a name for another row first gets a text that cannot be a name.
        for pk in sorted({holder for row in free for holder in holders[row.pk]}):
            self._users.filter(pk=pk).update(**{self._columns[2]: f"\n{pk}"})
        self._write([row.correct for row in free])
        return blocked

    def _holders(self, rows: list[Row]) -> dict[int, set[int]]:
        """The other users who have the correct text of each row, in either column."""
        _, column, folded = self._columns
        texts = {row.correct.text for row in rows}
        names = {row.correct.folded for row in rows}
        holder_of: dict[tuple[str, str], int] = {}
        for row in self._rows(
            self._users.filter(Q((f"{column}__in", texts)) | Q((f"{folded}__in", names)))
        ):
            holder_of[column, row.text] = holder_of[folded, row.folded] = row.pk
        return {
            pk: {holder_of.get((column, text), pk), holder_of.get((folded, name), pk)} - {pk}
            for pk, text, name in (row.correct for row in rows)
        }

    def _write(self, rows: list[Row]) -> None:
        pks, texts, names = ([row[index] for row in rows] for index in range(3))
        with connections[self._users.db].cursor() as cursor:
            cursor.execute(self._write_sql, (pks, texts, names))
        self.repaired += len(rows)


def _blocked(rows: list[Row], holders: dict[int, set[int]]) -> dict[int, int]:
    """The ids of the rows that cannot get their name, with the id of the user who keeps it."""
    moving = {row.pk for row in rows}
    blocked: dict[int, int] = {}
    first: dict[str, int] = {}
    # If two rows need one name, the row that already holds it comes first.
    for row in sorted(rows, key=lambda row: row.folded != row.correct.folded):
        owner = first.setdefault(row.correct.folded, row.pk)
        if owner != row.pk:
            blocked[row.pk] = owner
    while more := {
        pk: holder
        for pk in moving - blocked.keys()
        for holder in holders[pk]
        if holder not in moving or holder in blocked
    }:
        blocked |= more
    return blocked


def repair(users: models.QuerySet[Any]) -> int:
    """Repair all rows. Returns the number of repaired values.

    If pairs of accounts have the same name, repairs all other rows, and raises CommandError with a
    list of the pairs.
    """
    number = 0
    conflicts: list[str] = []
    for column in COLUMNS:
        names = NameRepair(users, column)
        conflicts += _conflicts(users, column, names.run())
        number += names.repaired
    if conflicts:
        raise CommandError(CONFLICTS.format(pairs="\n".join(conflicts)))
    return number


def _conflicts(users: models.QuerySet[Any], column: str, blocked: dict[int, int]) -> Iterator[str]:
    """A line for each of the first pairs. Shows no e-mails, which must not be in logs, and escapes
    usernames, which may look alike or contain control characters."""
    pairs = sorted({(min(pair), max(pair)) for pair in blocked.items()})
    shown = pairs[:SHOWN]
    pks = {pk for pair in shown for pk in pair}
    names = dict(users.filter(pk__in=pks).values_list("pk", "username"))
    for one, other in shown:
        yield (
            f"  {column}: user {one} ({names.get(one)!a}) and user {other} ({names.get(other)!a})"
        )
    if len(pairs) > SHOWN:
        yield f"  {column}: {len(pairs) - SHOWN:,} more pairs"
