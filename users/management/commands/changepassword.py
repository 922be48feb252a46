"""Django's `changepassword`, for an e-mail in any case. Writes only the password."""

import getpass
from typing import Any

from django.contrib.auth.management.commands import changepassword
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError

from users.models import User

ATTEMPTS = 3


class Command(changepassword.Command):
    help = "Change the password of the account with this e-mail."

    def handle(self, *args: Any, **options: Any) -> str:
        users = User.objects.db_manager(options["database"])
        email = options["username"] or getpass.getuser()
        try:
            user = users.get_by_natural_key(email)
        except User.DoesNotExist as error:
            raise CommandError(f"There is no account with the e-mail {email!r}.") from error
        self.stdout.write(f"Changing the password of {user.email}")
        user.set_password(self._ask(user))
        # Not the whole row, which may have changed while the command waited for input.
        user.save(update_fields=["password"])
        return f"The password of {user.email} is changed."

    def _ask(self, user: User) -> str:
        for _ in range(ATTEMPTS):
            password = getpass.getpass()
            if password != getpass.getpass("Password (again): "):
                self.stderr.write("The passwords do not match. Please try again.")
                continue
            try:
                validate_password(password, user)
            except ValidationError as error:
                self.stderr.write("\n".join(error.messages))
            else:
                return password
        raise CommandError(f"The password was not changed: {ATTEMPTS} attempts failed.")
