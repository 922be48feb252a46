"""A whole demo site, loaded in one transaction."""

from collections.abc import Iterator
from datetime import datetime

from django.contrib.auth.hashers import make_password
from django.db import connection

from articles.counts import Tally
from articles.demo.population import Population
from articles.demo.publication import Publication
from articles.demo.size import Size
from articles.models import Article, Comment, Favorite, Tag, Tagging
from profiles.models import Follow
from users.models import User


class Site:
    def __init__(self, seed: int, size: Size, until: datetime) -> None:
        self._size = size
        self._population = Population(seed, size, until)
        self._publication = Publication(seed, size, self._population)

    def load(self, password: str) -> Iterator[int]:
        """Load everything; yields the number of users or articles of each batch.

        `password` is the password of the editor and the reader. Other users cannot log in.
        """
        yield from self._population.load_users(make_password(password))
        self._population.load_follows()
        yield from self._publication.load()

    def summary(self) -> str:
        """The number of rows of each kind, after `load()`."""
        rows = [f"{getattr(self._size, name):,} {name}" for name in Size.__slots__]
        return f"{', '.join(rows)} and {len(self._publication.tag_ids):,} tags"


def has_content() -> bool:
    """Whether there are articles, or users who are not superusers.

    A site with only superusers is empty: `createsuperuser` may run before `demo_data`. Rows of
    other tables belong to articles or users.
    """
    return Article.objects.exists() or User.objects.filter(is_superuser=False).exists()


def analyze() -> None:
    """Update the planner's statistics. Autovacuum would do this minutes later."""
    models = (User, Follow, Tag, Article, Tagging, Comment, Favorite, Tally)
    names = ", ".join(connection.ops.quote_name(model._meta.db_table) for model in models)
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {names}")
