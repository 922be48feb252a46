"""Indexes of tables that are in use."""

from django.db import migrations
from django.db.migrations.operations.base import Operation


def create_index(name: str, definition: str, *state_operations: Operation) -> migrations.RunSQL:
    """Create an index while others read and write the table.

    For a migration with `atomic = False`. `definition` is the SQL after `ON`. Give the `AddIndex`
    for an index of a model as a state operation. A failed attempt leaves an invalid index, which
    the next attempt replaces.
    """
    drop = f'DROP INDEX CONCURRENTLY IF EXISTS "{name}"'
    return migrations.RunSQL(
        [drop, f'CREATE INDEX CONCURRENTLY "{name}" ON {definition}'],
        [drop],
        state_operations=[*state_operations],
    )
