"""Django's `migrate` without a statement timeout.

It reports an unreachable database in one sentence, and checks the declared queries afterwards.
"""

from typing import Any

from django.core.checks import Tags
from django.core.management.commands import migrate

from database.backend import database_wrappers, lift_timeouts
from database.serving import has_unapplied_migrations, require_database


class Command(migrate.Command):
    def execute(self, *args: Any, **options: Any) -> str | None:
        # Before the system checks, which use the database too.
        if database := database_wrappers().get(options["database"]):
            require_database(database)
        return super().execute(*args, **options)

    def get_check_kwargs(self, options: Any) -> Any:
        kwargs = super().get_check_kwargs(options)
        database = database_wrappers().get(options["database"])
        # A query that does not fit the database must not prevent a migration backwards. While
        # migrations are unapplied, the check would only warn: handle() runs it afterwards.
        if options["migration_name"] or (
            _migrates(options) and database and has_unapplied_migrations(database)
        ):
            kwargs["databases"] = []
        return kwargs

    def handle(self, *args: Any, **options: Any) -> None:
        # An index on a large table takes longer than the statement timeout.
        lift_timeouts(options["database"])
        super().handle(*args, **options)
        if _migrates(options) and not options["skip_checks"]:
            # After a migration backwards, this warns that the declared queries are not checked.
            self.check(tags=[Tags.database], databases=[options["database"]])


def _migrates(options: Any) -> bool:
    return not (options["plan"] or options["check_unapplied"])
