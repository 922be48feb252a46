"""Django's `loaddata` without a statement timeout."""

from typing import Any

from django.core.management.commands import loaddata

from database.backend import lift_timeouts


class Command(loaddata.Command):
    def handle(self, *labels: str, **options: Any) -> None:
        # One statement checks the foreign keys of all loaded rows.
        lift_timeouts(options["database"])
        super().handle(*labels, **options)
