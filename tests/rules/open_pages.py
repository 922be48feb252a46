"""Opens pages of the admin as a superuser, in a process of its own, and prints what they cost.

python -m tests.rules.open_pages '["/admin/"]', with the DATABASE_URL of the site.
"""

import json
import sys
from pathlib import Path
from time import process_time
from typing import Any, NamedTuple

import django

USER = 999_999


class Page(NamedTuple):
    address: str
    status: int
    statements: int
    seconds: float
    """The processor time of this process and of PostgreSQL. Not the time on the clock, which
    depends on what else the machine does."""


def open_pages(addresses: list[str]) -> list[Page]:
    """The pages with their cost. One that takes more than half a second is opened again, and the
    cheaper time counts: the first time fills caches."""
    from django.conf import settings
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    from users.models import User

    settings.ALLOWED_HOSTS = ["*"]
    client = Client()
    client.force_login(User.objects.get(pk=USER))
    with connection.cursor() as cursor:
        # The time of parallel workers would not be counted.
        cursor.execute("SET max_parallel_workers_per_gather = 0")
        cursor.execute("SELECT pg_backend_pid()")
        schedule = Path(f"/proc/{cursor.fetchone()[0]}/schedstat")

    def seconds() -> float:
        return process_time() + int(schedule.read_text().split()[0]) / 1e9

    def opened(address: str) -> Page:
        before = seconds()
        with CaptureQueriesContext(connection) as statements:
            response = client.get(address)
        return Page(address, response.status_code, len(statements), seconds() - before)

    pages = map(opened, addresses)
    return [
        min(page, opened(page.address), key=_seconds) if page.seconds > 0.5 else page
        for page in pages
    ]


def _seconds(page: Page) -> float:
    return page.seconds


def of_site(addresses: list[str], url: str) -> list[Page]:
    """The pages of the site in this database."""
    from tests.processes import run

    process = run(
        "-m",
        "tests.rules.open_pages",
        json.dumps(addresses),
        DATABASE_URL=url,
        DJANGO_SETTINGS_MODULE="tests.settings",
    )
    assert process.returncode == 0, process.stderr
    pages: list[Any] = json.loads(process.stdout)
    return [Page(*page) for page in pages]


if __name__ == "__main__":
    django.setup()
    print(json.dumps(open_pages(json.loads(sys.argv[1]))))
