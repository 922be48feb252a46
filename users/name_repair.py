"""Find and repair usernames and e-mails that are not stored as the model stores them: rows that
plain SQL has written, or an earlier version with other rules."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from django.core.management.base import CommandError
from django.db import IntegrityError, connections, models, reset_queries, transaction
from django.db.models import Q

from users.names import fold, nfc

COLUMNS = {"username": "username_folded", "email": "email_folded"}
BATCH = 5000  # rows
SHOWN = 20  # pairs

CONFLICTS = """\
These pairs of accounts have the same username or e-mail, since case, compatible letter forms and
invisible characters make no difference:
{pairs}
Change one of each pair (UPDATE users_user SET username = …), then run this command again.
All other accounts are right."""

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
    def right(self) -> "Row":
        return Row(self.pk, nfc(self.text), fold(self.text))


class NameRepair:
    """The work on one column of users and its folded column. `users` is a queryset of all users,
    of the model or of a migration's."""

    def __init__(self, users: models.QuerySet[Any], column: str) -> None:
        # Not the manager's queryset, which refuses to write a folded column alone.
        self._users: models.QuerySet[Any] = models.QuerySet(users.model, using=users.db)
        self._columns = ("pk", column, COLUMNS[column])
        self._write_sql = WRITE.format(
            table=users.model._meta.db_table, column=column, folded=COLUMNS[column]
        )
        self.repaired = 0

    def wrong(self) -> Iterator[list[int]]:
        """The ids of the rows that are wrong, a list for each batch that was read."""
        last = None
        while rows := self._batch_after(last):
            last = rows[-1].pk
            yield [row.pk for row in rows if row != row.right]

    def run(self) -> dict[int, int]:
        """Repair what can be, each batch in a transaction of its own.

        Returns the id of each row that is still wrong, with that of the user who has its name.
        """
        blocked: list[int] = []
        for wrong in self.wrong():
            blocked += self._repair(wrong)
            reset_queries()  # with DEBUG on, Django keeps every statement
        # Again, all at once: a row may wait for the name that a later row gives up.
        return self._repair(blocked)

    def _batch_after(self, last: int | None) -> list[Row]:
        users = self._users if last is None else self._users.filter(pk__gt=last)
        return self._rows(users.order_by("pk")[:BATCH])

    def _rows(self, users: models.QuerySet[Any]) -> list[Row]:
        return [Row(*values) for values in users.values_list(*self._columns)]

    def _repair(self, pks: list[int], attempts: int = 10) -> dict[int, int]:
        if not pks:
            return {}
        try:
            with transaction.atomic(using=self._users.db):
                return self._repair_locked(pks)
        except IntegrityError:
            # Another session has taken a name since. The next attempt finds its row.
            if attempts == 1:
                raise
            return self._repair(pks, attempts - 1)

    def _repair_locked(self, pks: list[int]) -> dict[int, int]:
        locked = self._users.select_for_update().filter(pk__in=pks).order_by("pk")
        rows = [row for row in self._rows(locked) if row != row.right]
        holders = self._holders(rows)
        blocked = _blocked(rows, holders)
        free = [row for row in rows if row.pk not in blocked]
        # PostgreSQL checks a unique constraint after each row, not after the statement. If a row
        # gets the name of another row, the other row therefore gives it up first: it gets a text
        # that cannot be the name of any user.
        for pk in sorted({holder for row in free for holder in holders[row.pk]}):
            self._users.filter(pk=pk).update(**{self._columns[2]: f"\n{pk}"})
        self._write([row.right for row in free])
        return blocked

    def _holders(self, rows: list[Row]) -> dict[int, set[int]]:
        """The other users who have the name of each row, in either column."""
        _, column, folded = self._columns
        texts = {row.right.text for row in rows}
        names = {row.right.folded for row in rows}
        having: dict[tuple[str, str], int] = {}
        for row in self._rows(
            self._users.filter(Q((f"{column}__in", texts)) | Q((f"{folded}__in", names)))
        ):
            having[column, row.text] = having[folded, row.folded] = row.pk
        return {
            pk: {having.get((column, text), pk), having.get((folded, name), pk)} - {pk}
            for pk, text, name in (row.right for row in rows)
        }

    def _write(self, rows: list[Row]) -> None:
        pks, texts, names = ([row[index] for row in rows] for index in range(3))
        with connections[self._users.db].cursor() as cursor:
            cursor.execute(self._write_sql, (pks, texts, names))
        self.repaired += len(rows)


def _blocked(rows: list[Row], holders: dict[int, set[int]]) -> dict[int, int]:
    """The rows that can't get their name, each with the user who has it and keeps it."""
    moving = {row.pk for row in rows}
    blocked: dict[int, int] = {}
    first: dict[str, int] = {}
    # Of two with one name, the row that holds it already comes first.
    for row in sorted(rows, key=lambda row: row.folded != row.right.folded):
        owner = first.setdefault(row.right.folded, row.pk)
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
    """Repair all rows, and return how many values were wrong.

    Raises CommandError that lists pairs of accounts with one name; all other rows are repaired
    then.
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
    """A line for each of the first pairs. Without e-mail addresses, which logs may not have, and
    with usernames escaped: they may look alike, or control a terminal."""
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
