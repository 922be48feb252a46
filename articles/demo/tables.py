"""Loads rows into PostgreSQL by COPY.

COPY is about three times as fast as `bulk_create()`, measured with articles and with favorites.
"""

from collections.abc import Iterable, Sequence
from random import Random
from typing import Any

from django.db import connection, models

from articles.models import Article, OldSlug
from articles.slugs import SLUG_ENDING_ALPHABET, SLUG_ENDING_LENGTH, slugs_for
from database.backend import lift_timeouts


def copy(model: type[models.Model], fields: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Add rows with these fields. Other columns get their database default.

    COPY bypasses the models, but not the constraints and triggers of the table.
    """
    columns = {field.name: str(field.column) for field in model._meta.concrete_fields}
    quote = connection.ops.quote_name
    names = ", ".join(quote(columns[name]) for name in fields)
    statement = f"COPY {quote(model._meta.db_table)} ({names}) FROM STDIN"
    with (
        connection.cursor() as cursor,
        connection.wrap_database_errors,
        cursor.copy(statement) as copying,
    ):
        for row in rows:
            copying.write_row(row)


def new_ids(model: type[models.Model], count: int) -> list[int]:
    """New ids from the sequence of the table: other transactions get other ids."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)",
            [connection.ops.quote_name(model._meta.db_table), count],
        )
        return [number for (number,) in cursor.fetchall()]


def new_slugs(rng: Random, titles: Iterable[str]) -> list[str]:
    """The slugs that `Article.save()` would give to articles with these titles, in this order.

    Their random endings come from `rng`.
    """
    slugs = [next(slugs_for(title)) for title in titles]
    live = Article.objects.filter(slug__in=set(slugs)).values_list("slug")
    old = OldSlug.objects.filter(slug__in=set(slugs)).values_list("slug")
    taken = {slug for (slug,) in live.union(old)}
    for index, words in enumerate(slugs):
        slug = words
        while slug in taken:
            ending = rng.choices(SLUG_ENDING_ALPHABET, k=SLUG_ENDING_LENGTH)
            slug = f"{words}-{''.join(ending)}"
        taken.add(slug)
        slugs[index] = slug
    return slugs


def begin() -> None:
    """Prepare the transaction: lock out other loads of demo data, and lift the timeouts."""
    lift_timeouts()  # a COPY of a million rows takes minutes
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('demo_data'))")
        # Check foreign keys after each COPY and not at the end. The rows are still in memory, and
        # the server does not have to keep a list of millions of rows.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
