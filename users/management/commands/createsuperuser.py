"""Django's `createsuperuser`, but it checks the username before it asks for a password."""

import os
from typing import Any, cast

from django.contrib.auth.management.commands import createsuperuser
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError
from django.db import IntegrityError, models

from database.errors import violated_constraint
from users.models import User
from users.names import TAKEN_FIELDS, fold, validate_username

TAKEN = "Error: That {} is already taken."


class Command(createsuperuser.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        username = options["username"]
        if not options["interactive"]:
            username = username or os.environ.get("DJANGO_SUPERUSER_USERNAME")
        if username and (problem := self._problem(username, options["database"])):
            raise CommandError(problem)
        self._database = options["database"]
        try:
            super().handle(*args, **options)
        except IntegrityError as error:
            # Another process took the name while this one waited for the password.
            field = TAKEN_FIELDS.get(violated_constraint(error) or "")
            if field is None:
                raise
            name = cast("models.Field[Any, Any]", User._meta.get_field(field)).verbose_name
            raise CommandError(TAKEN.format(name)) from error

    def get_input_data(
        self, field: "models.Field[Any, Any]", message: str, default: Any = None
    ) -> Any:
        value = super().get_input_data(field, message, default)
        if field.name != "username" or not value:
            return value
        if problem := self._problem(value, self._database):
            self.stderr.write(problem)
            return None  # asks again
        return value

    def _problem(self, username: str, database: str) -> str | None:
        """The error message for the username, or None."""
        try:
            validate_username(username)
        except ValidationError as error:
            return f"Error: {error.messages[0]}"
        if User.objects.using(database).filter(username_folded=fold(username)).exists():
            return TAKEN.format("username")
        return None
