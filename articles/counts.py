"""What is counted once, and not by whoever asks: the database keeps every count exact by
triggers (`migrations/0007_counts.py`), and `manage.py verify_counts` proves them."""

from typing import Any

from django.db import models
from django.db.models.functions import Coalesce

type Key = int | models.OuterRef | models.Subquery


class Tally(models.Model):
    """A part of a count: a count is the sum of the rows that bear its name and key.

    One row for each count would make every writer wait for the one before, until its commit,
    and two who count the same things in another order for ever. So a writer takes any row
    that no other transaction has changed at this moment, and adds another row where there is
    none. What comes to nothing has no row.

    So it is at READ COMMITTED, the default of Django and PostgreSQL. At REPEATABLE READ a row
    that somebody has changed since the transaction began is a serialization failure, as any
    other row would be, and of a count that many write to, this is often so.
    """

    class Counted(models.IntegerChoices):
        """What a count is of; beside it, what its key is."""

        ARTICLES = 1, "articles"  # 0: all of them
        ARTICLES_OF_TAG = 2, "articles of a tag"  # the tag
        ARTICLES_OF_AUTHOR = 3, "articles of an author"  # the user
        FAVORITES_OF_ARTICLE = 4, "favorites of an article"  # the article
        FAVORITES_OF_USER = 5, "favorites of a user"  # the user

    counted = models.SmallIntegerField(choices=Counted.choices)
    key = models.BigIntegerField()
    # May be less than 0, where another row is larger.
    count = models.IntegerField()

    class Meta:
        # Without the count: an update that changes no indexed column writes to no index.
        indexes = [models.Index(fields=["counted", "key"], name="tally_of_key")]
        verbose_name_plural = "tallies"

    def __str__(self) -> str:
        return f"{self.Counted(self.counted).label}, {self.key}: {self.count:+}"


def tallied(counted: Tally.Counted, key: Key) -> Coalesce:
    """A count, as an integer: 0 where nothing is counted. One look into an index.

    The key may come from the query around it: `tallied(Counted.ARTICLES_OF_TAG,
    OuterRef("pk"))`.
    """
    return _sum(Tally.objects.filter(counted=counted, key=key))


def tallied_of_any(counted: Tally.Counted, keys: models.QuerySet[Any]) -> Coalesce:
    """The sum of the counts of several keys, which are the rows of `keys`: one look into an
    index for each. What two keys share is counted twice.

    `keys` stands in a query of tallies: to it, the query around is `OuterRef(OuterRef(…))`.
    """
    return _sum(Tally.objects.filter(counted=counted, key__in=keys))


def _sum(rows: models.QuerySet[Tally]) -> Coalesce:
    # As a function, because Django groups by the rows' columns for an aggregate.
    total = models.Func("count", function="SUM", output_field=models.IntegerField())
    return Coalesce(models.Subquery(rows.values(total=total)), 0)
