"""manage.py delete_article: delete an article with its comments and favorites."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from articles.models import Article
from users.management.deletion_command import DeletionCommand


class Command(DeletionCommand):
    help = "Delete an article with its comments and favorites. The article is hidden first."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug")
        super().add_arguments(parser)

    def handle(self, *, slug: str, noinput: bool, verbosity: int, **options: Any) -> None:
        rows = Article.objects.filter(slug=slug)
        if not rows:
            raise CommandError(f"There is no article with the slug {slug!r}.")
        self.delete(rows, noinput=noinput, verbosity=verbosity)
