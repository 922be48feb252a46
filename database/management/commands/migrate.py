"""Django's `migrate`, which says in one sentence when there is no database to migrate, gives a
statement as long as it takes, and checks the declared queries afterwards."""

from typing import Any

from django.core.checks import Tags
from django.core.management.commands import migrate

from database.backend.base import lift_timeouts
from database.startup import require_database


class Command(migrate.Command):
    def execute(self, *args: Any, **options: Any) -> str | None:
        # Before the checks, which ask the database too.
        require_database()
        return super().execute(*args, **options)

    def get_check_kwargs(self, options: Any) -> Any:
        kwargs = super().get_check_kwargs(options)
        if options["migration_name"]:
            # What does not fit now is no reason to stay: the way may lead back, and away from
            # what the queries of this code ask for.
            kwargs["databases"] = []
        return kwargs

    def handle(self, *args: Any, **options: Any) -> None:
        # An index on a large table takes longer than any request may.
        lift_timeouts(options["database"])
        super().handle(*args, **options)
        if not (options["skip_checks"] or options["plan"] or options["check_unapplied"]):
            # Again: they have not looked at everything while there was something to migrate. If
            # there still is, on the way back, that is a warning.
            self.check(tags=[Tags.database], databases=[options["database"]])
