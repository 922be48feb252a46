"""manage.py dumpdata: Django's command, without the tallies and without timeouts."""

from typing import Any

from django.core.management.commands import dumpdata

from database.backend import lift_timeouts


class Command(dumpdata.Command):
    # When loaddata loads the rows, triggers count them. Loaded tallies would be added to that.
    def handle(self, *labels: str, exclude: list[str], **options: Any) -> None:
        # Sorting a large table takes longer than the statement timeout.
        lift_timeouts(options["database"])
        super().handle(*labels, exclude=[*exclude, "articles.tally"], **options)
