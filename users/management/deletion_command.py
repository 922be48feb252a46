"""The base class of the commands that delete."""

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.db.models import Model, QuerySet
from tqdm import tqdm

from database.backend import lift_timeouts
from users.deletion import Deletion, counts_below, enqueue

MAX_COUNTED = 10_000_000  # rows of each model, for the question before the deletion


class DeletionCommand(BaseCommand):
    """Deletes a row and everything that belongs to it, in batches, with a progress bar.

    The row is hidden first. If the command is interrupted, the server continues the deletion, and
    so does the next call of the command.
    """

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--noinput", action="store_true", help="do not ask for confirmation")

    def delete(self, rows: QuerySet[Any], *, noinput: bool, verbosity: int) -> None:
        """`rows` must contain exactly one row. Raises CommandError unless the answer is "yes"."""
        row = rows.get()
        with transaction.atomic():
            lift_timeouts()
            counts = counts_below(rows, MAX_COUNTED)
        total = sum(counts.values())
        below = ", ".join(
            f"{number:,} {model._meta.verbose_name_plural}"
            for model, number in counts.items()
            if number
        )
        if not noinput and input(f"Delete {row} ({below})? [yes/no] ") != "yes":
            raise CommandError("Nothing was deleted.")
        self.enqueue(rows)
        self._run(row, total, silent=verbosity == 0)
        if verbosity:
            self.stdout.write(f"Deleted {row}: {below}.")

    def enqueue(self, rows: QuerySet[Any]) -> None:
        enqueue(rows)

    def _run(self, row: Model, total: int, *, silent: bool) -> None:
        deletion = Deletion.objects.of(row)
        with tqdm(total=total, unit=" rows", disable=silent or None) as bar:
            while deletion.exists():
                if claimed := deletion.claim():
                    for deleted in claimed.run():
                        bar.update(deleted)
                else:  # a server has claimed it
                    time.sleep(0.5)
