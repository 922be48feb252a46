"""Stored counts. Triggers keep them exact (`migrations/sql/`), and
`manage.py verify_counts` compares them with the tables."""

from typing import Any, ClassVar, Self

from django.apps.registry import Apps
from django.db import models
from django.db.models.functions import Coalesce

type Key = int | models.OuterRef | models.Subquery


class CountKind(models.IntegerChoices):
    """The comments name the `key` of each kind."""

    ARTICLES = 1, "articles"  # 0
    ARTICLES_OF_TAG = 2, "articles of a tag"  # the id of the tag
    ARTICLES_OF_AUTHOR = 3, "articles of an author"  # the id of the user
    FAVORITES_OF_ARTICLE = 4, "favorites of an article"  # the id of the article
    FAVORITES_OF_USER = 5, "favorites of a user"  # the id of the user


class Tally(models.Model):
    """A part of a count: the count is the sum of all rows with its kind and key.

    With one row for each count, every writer would wait for the commit of the writer before, and
    two writers that take the rows in opposite order would deadlock. So a writer updates any row
    that no other transaction has locked, and inserts a row if all are locked. A count of 0 has no
    row.

    This holds at READ COMMITTED, the default of Django and PostgreSQL. At REPEATABLE READ, a row
    that changed after the transaction began is a serialization failure, which is frequent for a
    count with many writers.
    """

    counted = models.SmallIntegerField(choices=CountKind.choices)
    key = models.BigIntegerField()
    # May be negative while another row of the count is larger.
    count = models.IntegerField()

    class Meta:
        # Without the count: an update that changes no indexed column writes to no index.
        indexes = [models.Index(fields=["counted", "key"], name="tally_of_key")]
        verbose_name_plural = "tallies"

    def __str__(self) -> str:
        return f"{CountKind(self.counted).label}, {self.key}: {self.count:+}"


class UsedTag(models.Model):
    """A tag that has articles. A row of a view (`migrations/sql/used_tags.sql`)."""

    name = models.TextField()
    articles_count = models.BigIntegerField()

    objects: ClassVar[models.Manager[Self]] = models.Manager()

    class Meta:
        managed = False
        # Not in the registry of models: `dumpdata` would dump the rows of the view.
        apps = Apps()
        app_label = "articles"

    def __str__(self) -> str:
        return self.name


def stored_count(kind: CountKind, key: Key) -> Coalesce:
    """The count of a key, as an integer expression: 0 if it has no row. One index scan.

    The key may come from the outer query:
    `stored_count(CountKind.ARTICLES_OF_TAG, OuterRef("pk"))`.
    """
    return _sum(Tally.objects.filter(counted=kind, key=key))


def sum_of_stored_counts(kind: CountKind, keys: models.QuerySet[Any]) -> Coalesce:
    """The sum of the counts of the keys that `keys` returns. One index scan for each key.

    A row that two keys share is counted twice. `keys` is a subquery of a query of tallies: it
    refers to the outer query by `OuterRef(OuterRef(…))`.
    """
    return _sum(Tally.objects.filter(counted=kind, key__in=keys))


def _sum(rows: models.QuerySet[Tally]) -> Coalesce:
    # As a function, because Django groups by the rows' columns for an aggregate.
    total = models.Func("count", function="SUM", output_field=models.IntegerField())
    return Coalesce(models.Subquery(rows.values(total=total)), 0)
