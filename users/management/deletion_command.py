"""What the commands that delete have in common."""

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.db.models import Model, QuerySet
from tqdm import tqdm

from database.backend.base import lift_timeouts
from users.deletion import Deletion, counts_below, enqueue

MOST = 10_000_000  # rows of each kind that are counted for the question


class DeletionCommand(BaseCommand):
    """Deletes one row with everything that belongs to it, in batches, with a progress bar.

    The row is hidden first. If the command is interrupted, the server goes on with the deletion;
    so does the command when it is called again.
    """

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--noinput", action="store_true", help="do not ask")

    def delete(self, rows: QuerySet[Any], *, noinput: bool, verbosity: int) -> None:
        """`rows` finds one row. Raises CommandError without a "yes"."""
        row = rows.get()
        with transaction.atomic():
            lift_timeouts()
            counts = counts_below(rows, MOST)
        total = sum(counts.values())
        below = ", ".join(
            f"{number:,} {model._meta.verbose_name_plural}"
            for model, number in counts.items()
            if number
        )
        if not noinput and input(f"Delete {row} ({below})? [yes/no] ") != "yes":
            raise CommandError("Nothing was deleted.")
        enqueue(rows)
        self._run(row, total, silent=verbosity == 0)
        if verbosity:
            self.stdout.write(f"Deleted {row}: {below}.")

    def _run(self, row: Model, total: int, *, silent: bool) -> None:
        deletion = Deletion.objects.of(row)
        with tqdm(total=total, unit=" rows", disable=silent or None) as bar:
            while deletion.exists():
                if claimed := deletion.claim():
                    for deleted in claimed.run():
                        bar.update(deleted)
                else:  # a server works on it
                    time.sleep(0.5)
