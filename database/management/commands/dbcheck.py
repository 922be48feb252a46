"""Whether the database is as the server needs it, in a line for each thing that is not."""

import sys
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand

from database.serving import findings
from database.settings import project_setting


class Command(BaseCommand):
    help = (
        "Checks that the database can be reached, has room for all connections of the server,"
        " has every migration, and has what the declared queries ask for. Exits with 78 if"
        " something has to be set otherwise, with 69 if there is no database within"
        " DATABASE_STARTUP_TIMEOUT."
    )
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_size(parser)

    def handle(self, *, workers: int, threads: int, **options: Any) -> None:
        exit_status = 0
        patience = project_setting("DATABASE_STARTUP_TIMEOUT")
        for finding in findings(workers=workers, threads=threads, patience=patience):
            self.stderr.write(finding.text)
            exit_status = max(exit_status, finding.exit_status)
        if exit_status:
            sys.exit(exit_status)
        if options["verbosity"]:
            self.stdout.write("The database is as the server needs it.")


def add_size(parser: ArgumentParser) -> None:
    """The options that say how large the server is: --workers and --threads."""
    parser.add_argument("--workers", type=_count, default=project_setting("SERVER_WORKERS"))
    parser.add_argument("--threads", type=_count, default=project_setting("SERVER_THREADS"))


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ArgumentTypeError("it must be 1 or more")
    return number
