"""manage.py dumpdata: Django's own, without the counts and without time-outs."""

from typing import Any

from django.core.management.commands import dumpdata

from database.backend.base import lift_timeouts


class Command(dumpdata.Command):
    # Triggers count what loaddata loads. The stored counts would come on top.
    def handle(self, *labels: str, exclude: list[str], **options: Any) -> None:
        # To sort a large table takes longer than any request may.
        lift_timeouts(options["database"])
        super().handle(*labels, exclude=[*exclude, "articles.tally"], **options)
