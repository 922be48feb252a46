"""manage.py demo_data: fill the database with a made-up site."""

import os
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from tqdm import tqdm

from articles.demo.people import EDITOR, READER
from articles.demo.site import Site, analyze, has_content
from articles.demo.size import Size
from articles.demo.tables import begin
from users.models import User

PASSWORD = "conduit-demo"  # noqa: S105 -- public; refused unless DEBUG is on
PASSWORD_VARIABLE = "DEMO_PASSWORD"  # noqa: S105 -- a name
EARLIEST = datetime(1972, 1, 1, tzinfo=UTC)


class Command(BaseCommand):
    help = (
        "Fill the database with a made-up site. The same seed, counts and --until give the "
        "same content, with the same times; ids and password hashes differ. Everything is one "
        "transaction: after a failure or Ctrl-C nothing is stored."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--users", type=int, help="including editor and johndoe (30, or 1 for 20 articles)"
        )
        parser.add_argument("--articles", type=int, help="(200)")
        parser.add_argument("--comments", type=int, help="(3 for each article)")
        parser.add_argument("--favorites", type=int, help="(6 for each article)")
        parser.add_argument("--follows", type=int, help="(8 for each user)")
        parser.add_argument("--seed", type=int, default=1, help="(1)")
        parser.add_argument(
            "--until",
            help="all times in the content are before this time, such as 2026-01-31 or "
            "2026-01-31T12:00+01:00 (today's midnight, UTC)",
        )
        parser.add_argument(
            "--password",
            help="the password of editor and johndoe. Other users of the machine can read it in "
            f"the list of processes: prefer the environment variable {PASSWORD_VARIABLE}",
        )
        content = parser.add_mutually_exclusive_group()
        content.add_argument(
            "--if-empty", action="store_true", help="do nothing if there is content"
        )
        content.add_argument(
            "--append", action="store_true", help="add to the content; use another --seed"
        )

    def handle(self, **options: Any) -> None:
        started = time.monotonic()
        try:
            size = Size.of(**{name: options[name] for name in Size.__slots__})
        except ValueError as error:
            raise CommandError(str(error)) from error
        site = Site(options["seed"], size, _until(options["until"]))
        try:
            with transaction.atomic():
                begin()
                if not options["append"] and has_content():
                    self._keep_content(options)
                    return
                password = _password(options["password"])
                _show_progress(site.load(password), size, options["verbosity"])
        except KeyboardInterrupt:
            raise CommandError("Interrupted: nothing has been loaded.", returncode=130) from None
        analyze()
        if options["verbosity"]:
            self.stdout.write(f"{site.summary()} in {time.monotonic() - started:.1f} s.")
            self._report_logins(password, loaded=True)
            self.stdout.write("The other users have no password and cannot log in.")

    def _keep_content(self, options: dict[str, Any]) -> None:
        if not options["if_empty"]:
            raise CommandError(
                "Nothing has been loaded, because there are users or articles, and they may be "
                "real. Use an empty database, or --append to add to the content."
            )
        if options["verbosity"]:
            self.stdout.write("No demo data loaded: there is content already.")
            if settings.DEBUG:
                self._report_logins(PASSWORD, loaded=False)

    def _report_logins(self, password: str, *, loaded: bool) -> None:
        shown = f"password {password}" if password == PASSWORD else "the password you gave"
        for name, area in ((EDITOR, "the API and /admin/"), (READER, "the API")):
            user = User.objects.filter(username=name).first()
            if user is not None and user.check_password(password):
                self.stdout.write(f"{name} logs in to {area}: {user.email}, {shown}.")
            elif loaded:
                self.stdout.write(f"{name} was not added: the username or the e-mail was taken.")


def _show_progress(loading: Iterator[int], size: Size, verbosity: int) -> None:
    # disable=None: no bar if stderr is not a terminal.
    with tqdm(
        total=size.users + size.articles,
        unit=" users and articles",
        disable=None if verbosity else True,
    ) as bar:
        for loaded in loading:
            bar.update(loaded)


def _until(text: str | None) -> datetime:
    now = datetime.now(UTC)
    if text is None:
        return now.replace(hour=0, minute=0, second=0, microsecond=0)
    try:
        until = datetime.fromisoformat(text)
    except ValueError as error:
        raise CommandError("--until must be a time such as 2026-01-31T12:00.") from error
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    if not EARLIEST <= until <= now:
        raise CommandError("--until must be between 1972 and now.")
    return until


def _password(option: str | None) -> str:
    """The password of editor and johndoe. The default one is allowed only if DEBUG is on."""
    password = option or os.environ.get(PASSWORD_VARIABLE) or PASSWORD
    if password == PASSWORD and not settings.DEBUG:
        raise CommandError(
            "DEBUG is off, and the default password of the demo data is public: set the "
            f"environment variable {PASSWORD_VARIABLE} to another password."
        )
    try:
        validate_password(password)
    except ValidationError as error:
        raise CommandError(" ".join(error.messages)) from error
    return password
