"""Django's `migrate`, which reports an unreachable database in one sentence, sets no timeout for a
statement, and checks the declared queries afterwards."""

from typing import Any

from django.core.checks import Tags
from django.core.management.commands import migrate
from django.db import connections

from database.backend import DatabaseWrapper, lift_timeouts
from database.serving import has_unapplied_migrations, require_database


class Command(migrate.Command):
    def execute(self, *args: Any, **options: Any) -> str | None:
        # Before the checks, which use the database too.
        if database := _ours(options):
            require_database(database)
        return super().execute(*args, **options)

    def get_check_kwargs(self, options: Any) -> Any:
        kwargs = super().get_check_kwargs(options)
        # A query that does not fit the database must not prevent a way back to an older migration.
        # Before the first migration, the warning that queries are not checked would look like a
        # fault: handle() checks them afterwards.
        if options["migration_name"] or (_migrates(options) and _has_unapplied(options)):
            kwargs["databases"] = []
        return kwargs

    def handle(self, *args: Any, **options: Any) -> None:
        # An index on a large table takes longer than the statement timeout.
        lift_timeouts(options["database"])
        super().handle(*args, **options)
        if _migrates(options) and not options["skip_checks"]:
            # The first checks skip declared queries while migrations are not applied. If some still
            # are not, after a way back, that is a warning.
            self.check(tags=[Tags.database], databases=[options["database"]])


def _ours(options: Any) -> DatabaseWrapper | None:
    database = connections[options["database"]]
    return database if isinstance(database, DatabaseWrapper) else None


def _has_unapplied(options: Any) -> bool:
    database = _ours(options)
    return database is not None and has_unapplied_migrations(database)


def _migrates(options: Any) -> bool:
    return not (options["plan"] or options["check_unapplied"])
