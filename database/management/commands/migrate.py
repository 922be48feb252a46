"""Django's `migrate`, which says in one sentence when there is no database to migrate."""

from typing import Any

from django.core.management.commands import migrate

from database.startup import require_database


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        require_database()
        super().handle(*args, **options)
