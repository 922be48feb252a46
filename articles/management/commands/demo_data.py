"""manage.py demo_data: fill the database with a made-up site."""

import os
import time
from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from tqdm import tqdm

from articles.demo.people import EDITOR, READER
from articles.demo.population import Population
from articles.demo.publication import Publication
from articles.demo.size import Size
from articles.demo.tables import analyze, begin
from articles.models import Article, Comment, Favorite, Tag, Tagging
from database.backend import lift_timeouts
from profiles.models import Follow
from users.models import User

PASSWORD = "conduit-demo"  # noqa: S105 -- everybody may know it; refused without DEBUG
PASSWORD_VARIABLE = "DEMO_PASSWORD"  # noqa: S105 -- a name
EARLIEST = datetime(1972, 1, 1, tzinfo=UTC)
COUNTS = ("users", "articles", "comments", "favorites", "follows")


class Command(BaseCommand):
    help = (
        "Fill the database with a made-up site. The same seed, counts and --until give the "
        "same content, all times included; ids and password hashes differ. One transaction: "
        "a failure or Ctrl-C leaves nothing behind."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--users", type=int, help="editor and johndoe among them (30, or more)")
        parser.add_argument("--articles", type=int, help="(200)")
        parser.add_argument("--comments", type=int, help="(3 for each article)")
        parser.add_argument("--favorites", type=int, help="(6 for each article)")
        parser.add_argument("--follows", type=int, help="(8 for each user)")
        parser.add_argument("--seed", type=int, default=1, help="(1)")
        parser.add_argument(
            "--until",
            help="the instant before which everything has happened, such as 2026-01-31 or "
            "2026-01-31T12:00+01:00 (today's midnight, UTC)",
        )
        parser.add_argument(
            "--password",
            help="of editor and johndoe. Others see it in the list of processes: the "
            f"environment variable {PASSWORD_VARIABLE} is better for secrets",
        )
        full = parser.add_mutually_exclusive_group()
        full.add_argument(
            "--if-empty", action="store_true", help="do nothing when there is content"
        )
        full.add_argument(
            "--append", action="store_true", help="add to the content; give it another --seed"
        )

    def handle(self, **options: Any) -> None:
        started = time.monotonic()
        try:
            size = Size.of(**{name: options[name] for name in COUNTS})
        except ValueError as error:
            raise CommandError(str(error)) from error
        population = Population(options["seed"], size, _until(options["until"]))
        publication = Publication(options["seed"], size, population)
        try:
            with transaction.atomic():
                lift_timeouts()  # a COPY of a million rows takes minutes
                begin()
                if not self._may_load(options):
                    return
                password, given = _password(options["password"])
                self._load(size, population, publication, password, options["verbosity"])
        except KeyboardInterrupt:
            raise CommandError("Interrupted: nothing has been loaded.", returncode=130) from None
        analyze(User, Follow, Tag, Article, Tagging, Comment, Favorite)
        if options["verbosity"]:
            self._report(size, len(publication.tag_ids), time.monotonic() - started)
            self._report_log_ins(password, given=given, loaded=True)
            self.stdout.write("The others have no password, and can't log in.")

    def _may_load(self, options: dict[str, Any]) -> bool:
        """Content is any article, and anybody but superusers: who ran `createsuperuser`
        first has an empty site still. Everything else in the tables needs one of them."""
        people = User.objects.filter(is_superuser=False)
        if options["append"] or not (Article.objects.exists() or people.exists()):
            return True
        if not options["if_empty"]:
            raise CommandError(
                "There are users or articles already, and they may be real ones: nothing has "
                "been loaded. Use an empty database, or --append to add to what is there."
            )
        if options["verbosity"]:
            self.stdout.write("No demo data loaded: there is content already.")
            if settings.DEBUG:
                self._report_log_ins(PASSWORD, given=False, loaded=False)
        return False

    def _load(
        self,
        size: Size,
        population: Population,
        publication: Publication,
        password: str,
        verbosity: int,
    ) -> None:
        # disable=None: silent where stderr is not a terminal.
        bar = tqdm(
            total=size.users + size.articles,
            unit=" users and articles",
            disable=None if verbosity else True,
        )
        with bar:
            for loaded in population.load_users(make_password(password)):
                bar.update(loaded)
            population.load_follows()
            for loaded in publication.load():
                bar.update(loaded)

    def _report(self, size: Size, tags: int, seconds: float) -> None:
        counts = [f"{getattr(size, name):,} {name}" for name in COUNTS]
        self.stdout.write(f"{', '.join(counts)} and {tags:,} tags in {seconds:.1f} s.")

    def _report_log_ins(self, password: str, *, given: bool, loaded: bool) -> None:
        shown = "the password you gave" if given else f"password {password}"
        for name, what in ((EDITOR, "the API and /admin/"), (READER, "the API")):
            user = User.objects.filter(username=name).first()
            if user is not None and user.check_password(password):
                self.stdout.write(f"{name} logs in to {what}: {user.email}, {shown}.")
            elif loaded:
                self.stdout.write(f"{name}, or that e-mail, was there before: left as it was.")


def _until(text: str | None) -> datetime:
    now = datetime.now(UTC)
    if text is None:
        return now.replace(hour=0, minute=0, second=0, microsecond=0)
    try:
        until = datetime.fromisoformat(text)
    except ValueError as error:
        raise CommandError("--until must read like 2026-01-31 or 2026-01-31T12:00.") from error
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    if not EARLIEST <= until <= now:
        raise CommandError("--until must lie between 1972 and now: nothing is in the future.")
    return until


def _password(option: str | None) -> tuple[str, bool]:
    """The password of the known people, and whether the operator gave it."""
    given = option or os.environ.get(PASSWORD_VARIABLE)
    password = given or PASSWORD
    if password == PASSWORD and not settings.DEBUG:
        raise CommandError(
            "DEBUG is off, and everybody knows the usual password of the demo data: set the "
            f"environment variable {PASSWORD_VARIABLE} to one of your own."
        )
    try:
        validate_password(password)
    except ValidationError as error:
        raise CommandError(" ".join(error.messages)) from error
    return password, password != PASSWORD
