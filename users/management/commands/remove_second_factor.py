"""manage.py remove_second_factor: for a user who has lost the device and the recovery codes."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from users.audit import Action, record
from users.models import User
from users.second_factor import remove_second_factors

DETAILS = "Second factor removed by manage.py remove_second_factor."


class Command(BaseCommand):
    help = (
        "Remove the second factor of a user who has lost the device and the recovery codes. In the "
        "admin, a superuser can do the same for others."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")

    def handle(self, *, email: str, **options: Any) -> None:
        try:
            user = User.objects.get_by_natural_key(email)
        except User.DoesNotExist as error:
            raise CommandError(f"There is no account with the e-mail {email!r}.") from error
        with transaction.atomic():
            if not remove_second_factors(User.objects.filter(pk=user.pk)):
                raise CommandError(f"{user.email} has no second factor.")
            record(user, Action.CHANGE, [user], details=DETAILS)
        self.stdout.write(f"The second factor of {user.email} is removed.")
