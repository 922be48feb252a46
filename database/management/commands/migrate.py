"""Django's `migrate`, which says in one sentence when there is no database to migrate, gives a
statement as long as it takes, and checks the declared queries afterwards."""

from typing import Any

from django.core.checks import Tags
from django.core.management.commands import migrate

from database.backend import lift_timeouts
from database.serving import has_unapplied_migrations, require_database


class Command(migrate.Command):
    def execute(self, *args: Any, **options: Any) -> str | None:
        # Before the checks, which ask the database too.
        require_database()
        return super().execute(*args, **options)

    def get_check_kwargs(self, options: Any) -> Any:
        kwargs = super().get_check_kwargs(options)
        # What does not fit now is no reason to stay: the way may lead back, and away from what
        # the queries of this code ask for. And before the first migration a warning that the
        # queries are not checked would look like a fault: handle() checks them afterwards.
        if options["migration_name"] or (_migrates(options) and has_unapplied_migrations()):
            kwargs["databases"] = []
        return kwargs

    def handle(self, *args: Any, **options: Any) -> None:
        # An index on a large table takes longer than any request may.
        lift_timeouts(options["database"])
        super().handle(*args, **options)
        if _migrates(options) and not options["skip_checks"]:
            # Again: they have not looked at everything while there was something to migrate. If
            # there still is, on the way back, that is a warning.
            self.check(tags=[Tags.database], databases=[options["database"]])


def _migrates(options: Any) -> bool:
    return not (options["plan"] or options["check_unapplied"])
