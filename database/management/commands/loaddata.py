"""Django's `loaddata`, which gives a statement as long as it takes."""

from typing import Any

from django.core.management.commands import loaddata

from database.backend import lift_timeouts


class Command(loaddata.Command):
    def handle(self, *labels: str, **options: Any) -> None:
        # It checks every foreign key of what it has loaded in one statement.
        lift_timeouts(options["database"])
        super().handle(*labels, **options)
