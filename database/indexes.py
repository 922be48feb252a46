"""Indexes of tables that are in use, for migrations with `atomic = False`.

A failed attempt leaves an invalid index, which the next attempt replaces.
"""

from typing import Any

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations

DROP = 'DROP INDEX CONCURRENTLY IF EXISTS "{}"'


class AddIndex(AddIndexConcurrently):
    """Add an index of a model while others read and write the table."""

    def database_forwards(self, app_label: str, schema_editor: Any, *states: Any) -> None:
        schema_editor.execute(DROP.format(self.index.name))
        super().database_forwards(app_label, schema_editor, *states)


def create_index(name: str, definition: str) -> migrations.RunSQL:
    """Create an index of a table without a model. `definition` is the SQL after `ON`."""
    drop = DROP.format(name)
    return migrations.RunSQL([drop, f'CREATE INDEX CONCURRENTLY "{name}" ON {definition}'], [drop])
