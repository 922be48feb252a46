"""Django's `migrate`, which says in one sentence when there is no database to migrate, and
gives a statement as long as it takes."""

from typing import Any

from django.core.management.commands import migrate

from database.backend.base import lift_timeouts
from database.startup import require_database


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        require_database()
        # An index on a large table takes longer than any request may.
        lift_timeouts(options["database"])
        super().handle(*args, **options)
