"""manage.py delete_user: delete a user and everything they have written."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.db import transaction
from django.db.models import Q, QuerySet

from users.management.deletion_command import DeletionCommand
from users.models import User
from users.names import fold
from users.privileges import irremovable, sentence


class Command(DeletionCommand):
    help = (
        "Delete a user with their articles, comments, favorites and follows, and with the comments "
        "and favorites of others on these articles. The user is deactivated and hidden first."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("user", help="the username, or the e-mail address")
        super().add_arguments(parser)

    def handle(self, *, user: str, noinput: bool, verbosity: int, **options: Any) -> None:
        rows = User.objects.filter(Q(username_folded=fold(user)) | Q(email_folded=fold(user)))
        if len(rows[:2]) != 1:
            raise CommandError(f"There is no user {user!r}.")
        self.delete(rows, noinput=noinput, verbosity=verbosity)

    def enqueue(self, rows: QuerySet[Any]) -> None:
        """Raises CommandError for the last active superuser."""
        with transaction.atomic():
            if reasons := irremovable(rows, None):
                raise CommandError(sentence(reasons))
            super().enqueue(rows)
