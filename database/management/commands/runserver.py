"""Django's development server, which asks for the database first."""

import os
from typing import Any

from django.contrib.staticfiles.management.commands import runserver
from django.utils.autoreload import DJANGO_AUTORELOAD_ENV

from database.startup import require_database


class Command(runserver.Command):
    def handle(self, *args: Any, **options: Any) -> str | None:
        # Once, in the first process: the reloader starts a second one at every change.
        if os.environ.get(DJANGO_AUTORELOAD_ENV) != "true":
            require_database()
        return super().handle(*args, **options)
