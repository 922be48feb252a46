"""manage.py export_articles: every article as JSON Lines."""

import os
import sys
from argparse import ArgumentParser
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any, BinaryIO

import orjson
from django.contrib.auth.models import AnonymousUser
from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction

from articles.models import Article
from articles.representations import timestamp
from database.backend import lift_timeouts

# Rows in one round trip, and in memory at once: with the longest bodies that are allowed,
# 20 million characters. 500 at a time would take an eighth less time.
CHUNK = 100
# The key in the line, and where Article.objects.seen_by() has its value.
FIELDS = {
    "slug": "slug",
    "title": "title",
    "description": "description",
    "body": "body",
    "tagList": "tag_names",
    "createdAt": "created_at",
    "updatedAt": "updated_at",
    "favoritesCount": "favorites_count",
    "author": "author__username",
}
SIGPIPE_STATUS = 141  # what a shell says of a process that a broken pipe has ended


class Command(BaseCommand):
    help = (
        "Write every article as JSON Lines in UTF-8, one object a line, in the order in which "
        f"they were written. Keys: {', '.join(FIELDS)}. They mean what they mean in the API; "
        "author is the username alone, and what depends on who looks (favorited, following) is "
        "left out. The content is that of one moment, or, with DATABASE_PGBOUNCER, that of one "
        f"moment for each {CHUNK} articles."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--output",
            type=Path,
            metavar="FILE",
            help="write to this file, which takes the place of an older one once it is whole "
            "(standard output)",
        )

    def handle(self, *, output: Path | None, verbosity: int, **options: Any) -> None:
        count = 0
        try:
            with self._destination(output) as file, closing(_articles()) as articles:
                for article in articles:
                    file.write(_line(article))
                    count += 1
        except BrokenPipeError:
            sys.exit(SIGPIPE_STATUS)  # whoever reads has had enough, as `head` has
        except OSError as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            raise CommandError("Interrupted.", returncode=130) from None
        if output and verbosity:
            self.stdout.write(f"Articles in {output}: {count:,}.")

    def _destination(self, output: Path | None) -> AbstractContextManager[BinaryIO]:
        if output is not None:
            return _replacing(output.resolve())
        # A file object of its own: JSON is UTF-8 whatever the locale says, and after an error
        # nothing is left that the interpreter would try to write at its end.
        return open(self.stdout.fileno(), "wb", closefd=False)


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file, which takes the place of `path` at the end; after an error, what was there
    is there still."""
    if path.exists() and not path.is_file():
        # To take the place of /dev/stdout would be a mistake to remember.
        raise CommandError(f"{path} is not a file; redirect the standard output there.")
    new = path.with_name(f"{path.name}.{token_hex(4)}")
    try:
        with new.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def _articles() -> Generator[tuple[Any, ...]]:
    """The id of each article and its FIELDS, in the order of their ids; in memory there is
    never more than a CHUNK or two.

    Through a server-side cursor it is one statement in one transaction: it sees one moment,
    whatever is written meanwhile, and for as long as it takes VACUUM can't remove what has
    been deleted since. A reader of the output may take its time.

    Where there are no server-side cursors it is a statement for each page, of its own moment:
    no article comes twice, but one that changes meanwhile is as its page has found it, and one
    whose transaction ends after the page that it belongs to is missing.
    """
    articles = Article.objects.visible().seen_by(AnonymousUser()).order_by("pk")
    rows = articles.values_list("pk", *FIELDS.values())
    if connection.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS"):
        last = 0
        while page := list(rows.filter(pk__gt=last)[:CHUNK]):
            yield from page
            last = page[-1][0]
    else:
        # Outside a transaction Django declares its cursors WITH HOLD: PostgreSQL would write
        # all of the result to its disk before the first row.
        with transaction.atomic():
            lift_timeouts()
            yield from rows.iterator(CHUNK)


def _line(article: tuple[Any, ...]) -> bytes:
    _, *values = article
    return orjson.dumps(
        dict(zip(FIELDS, values, strict=True)),
        default=timestamp,
        option=orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_APPEND_NEWLINE,
    )
