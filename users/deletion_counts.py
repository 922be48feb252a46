"""How much a deletion takes with it."""

from collections import defaultdict
from collections.abc import Iterator
from functools import reduce
from typing import Any

from django.db import models

CASCADES = (models.CASCADE, models.DB_CASCADE)


def counts_below(rows: models.QuerySet[Any], limit: int) -> dict[type[models.Model], int]:
    """How many rows of each model are deleted with `rows`, themselves included.

    Exact up to `limit`; a greater figure means "more than `limit`". The cost is bounded by it.
    """
    parts = defaultdict(list)
    for each in (rows, *_rows_below(rows)):
        parts[each.model].append(each.order_by().values("pk")[: limit + 1])
    # A union, because a comment of an author on the author's own article is one comment.
    return {model: reduce(_union, found).count() for model, found in parts.items()}


def _union(one: models.QuerySet[Any], other: models.QuerySet[Any]) -> models.QuerySet[Any]:
    return one.union(other)


def _rows_below(rows: models.QuerySet[Any]) -> Iterator[models.QuerySet[Any]]:
    for relation in rows.model._meta.get_fields(include_hidden=True):
        if isinstance(relation, models.ManyToOneRel) and relation.on_delete in CASCADES:
            manager = relation.related_model._base_manager
            below = manager.filter(**{f"{relation.field.name}__in": rows.order_by().values("pk")})
            yield below
            yield from _rows_below(below)
