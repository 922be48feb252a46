"""Print every problem that would keep the server from using its databases."""

import sys
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand

from database.serving import problems
from database.settings import project_setting


class Command(BaseCommand):
    help = (
        "Checks that each database accepts connections, allows all connections of the server, has"
        " every migration, and fits the declared queries. Exits with 78 if a setting is wrong, and"
        " with 69 if a database does not answer within DATABASE_STARTUP_TIMEOUT."
    )
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_size(parser)

    def handle(self, *, workers: int, threads: int, **options: Any) -> None:
        exit_status = 0
        patience = project_setting("DATABASE_STARTUP_TIMEOUT")
        for problem in problems(workers=workers, threads=threads, patience=patience):
            self.stderr.write(problem.text)
            exit_status = max(exit_status, problem.exit_status)
        if exit_status:
            sys.exit(exit_status)
        if options["verbosity"]:
            self.stdout.write("The database is ready for the server.")


def add_size(parser: ArgumentParser) -> None:
    """Add --workers and --threads, the size of the server."""
    parser.add_argument("--workers", type=_count, default=project_setting("SERVER_WORKERS"))
    parser.add_argument("--threads", type=_count, default=project_setting("SERVER_THREADS"))


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ArgumentTypeError("it must be 1 or more")
    return number
