"""Django's `runserver`, which first checks the database and the declared queries."""

import os
from typing import Any

from django.contrib.staticfiles.management.commands import runserver
from django.core.checks import Tags
from django.utils.autoreload import DJANGO_AUTORELOAD_ENV

from database.backend import database_wrappers
from database.serving import require_database


class Command(runserver.Command):
    def handle(self, *args: Any, **options: Any) -> str | None:
        # Only in the first process: the reloader starts a new one after each change.
        if os.environ.get(DJANGO_AUTORELOAD_ENV) != "true":
            databases = database_wrappers()
            require_database(*databases.values())
            if not options["skip_checks"]:
                self.check(tags=[Tags.database], databases=[*databases])
        return super().handle(*args, **options)
