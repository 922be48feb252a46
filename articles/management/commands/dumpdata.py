"""manage.py dumpdata: Django's own, without the counts."""

from typing import Any

from django.core.management.commands import dumpdata


class Command(dumpdata.Command):
    # Triggers count what loaddata loads. The stored counts would come on top.
    def handle(self, *labels: str, exclude: list[str], **options: Any) -> None:
        super().handle(*labels, exclude=[*exclude, "articles.tally"], **options)
