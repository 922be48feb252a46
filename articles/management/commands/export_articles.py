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
from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction

from articles.models import Article
from articles.representations import timestamp
from database.backend import lift_timeouts

# Rows in one round trip, and in memory at once: up to 20 million characters, with the longest
# bodies. With 500 rows the export would take an eighth less time.
CHUNK = 100
# Each key of a line, and the column of Article.objects.seen_by() with its value.
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
SIGPIPE_STATUS = 141  # the exit status that a shell reports after SIGPIPE


class Command(BaseCommand):
    help = (
        "Write all visible articles as JSON Lines in UTF-8, one object a line, in the order of "
        f"their ids. Keys: {', '.join(FIELDS)}. They have the same meaning as in the API, but "
        "author is only the username, and favorited and following are left out. The output is a "
        f"snapshot of one moment. With DATABASE_PGBOUNCER each {CHUNK} articles are a snapshot."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--output",
            type=Path,
            metavar="FILE",
            help="write to this file; an existing file is replaced when the export is complete "
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
            sys.exit(SIGPIPE_STATUS)  # the reader has closed the pipe, such as `head`
        except OSError as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            raise CommandError("Interrupted.", returncode=130) from None
        if output and verbosity:
            self.stdout.write(f"Articles in {output}: {count:,}.")

    def _destination(self, output: Path | None) -> AbstractContextManager[BinaryIO]:
        if output is not None:
            return _replacing(output.resolve())
        # A separate file object: JSON is UTF-8 in every locale, and after an error no buffer is
        # left that the interpreter would flush at exit.
        return open(self.stdout.fileno(), "wb", closefd=False)


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file that replaces `path` at the end. After an error, `path` is unchanged."""
    if path.exists() and not path.is_file():
        # Otherwise a device such as /dev/stdout would be replaced by a file.
        raise CommandError(f"{path} is not a file: redirect the standard output to it instead.")
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
    """The id and the FIELDS of each article, in the order of ids.

    At most two CHUNKs are in memory.

    With a server-side cursor it is one statement, a snapshot of one moment. Until it ends, VACUUM
    cannot remove rows that were deleted after its start, so a slow reader delays VACUUM.

    Without server-side cursors it is one statement for each CHUNK, each with its own snapshot. No
    article appears twice. An article is missing if its transaction commits after the statement
    that covers its id.
    """
    articles = Article.objects.visible().seen_by(None).order_by("pk")
    rows = articles.values_list("pk", *FIELDS.values())
    if connection.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS"):
        last = 0
        while page := list(rows.filter(pk__gt=last)[:CHUNK]):
            yield from page
            last = page[-1][0]
    else:
        # Outside a transaction Django declares cursors WITH HOLD, for which PostgreSQL writes the
        # whole result to disk before it returns the first row.
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
