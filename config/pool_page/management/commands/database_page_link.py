"""manage.py database_page_link: a link to the page "Database" that works during an outage."""

from argparse import ArgumentParser
from typing import Any
from urllib.parse import urlencode

from django.core.management.base import BaseCommand

from config.pool_page.access import LINK_LIFETIME, PARAMETER, PATH, key_of_link


class Command(BaseCommand):
    help = (
        'Print a link to the page "Database" of the admin. The link needs no login while the '
        f"database does not answer. It is valid for {LINK_LIFETIME // 60} minutes. The command "
        "needs SECRET_KEY, but no database."
    )
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--site", default="", help="the address of the site, such as https://example.org"
        )

    def handle(self, *, site: str, **_: Any) -> None:
        self.stdout.write(f"{site.rstrip('/')}{PATH}?{urlencode({PARAMETER: key_of_link()})}")
