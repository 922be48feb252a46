"""manage.py verify_names: find and repair usernames and e-mails that are stored wrongly."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from users.models import User
from users.name_repair import COLUMNS, NameRepair, repair


class Command(BaseCommand):
    help = (
        "Check that each username and e-mail is in Unicode Normalization Form C, and that its "
        "folded column, which logins and unique constraints use, is right. The exit status is 1 "
        "if any is wrong. The check takes no locks."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--repair",
            action="store_true",
            help="correct wrong rows in batches; the server may run meanwhile. Accounts that would "
            "get the same name are listed and stay unchanged",
        )

    def handle(self, *, repair: bool, verbosity: int, **options: Any) -> None:
        lines = _repaired() if repair else _wrong()
        if verbosity:
            for line in lines or ["Every username and e-mail is right."]:
                self.stdout.write(line)
        if lines and not repair:
            raise CommandError("Some names are wrong. Run this command with --repair.")


def _wrong() -> list[str]:
    lines = []
    for column in COLUMNS:
        wrong = [pk for pks in NameRepair(User.objects.all(), column).wrong() for pk in pks]
        if wrong:
            lines.append(f"{column}: {len(wrong):,} wrong, such as that of user {wrong[0]}.")
    return lines


def _repaired() -> list[str]:
    number = repair(User.objects.all())
    return [f"{number:,} corrected."] if number else []
