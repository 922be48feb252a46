"""What the database's errors mean to the code above it."""

import psycopg
from django.db import IntegrityError


def refers_to_nothing(error: IntegrityError) -> bool:
    """Whether a write named a row that does not exist: it was deleted a moment ago."""
    return isinstance(error.__cause__, psycopg.errors.ForeignKeyViolation)


def violated_constraint(error: IntegrityError) -> str | None:
    """The name of the constraint that refused a write, as PostgreSQL gives it."""
    cause = error.__cause__
    return cause.diag.constraint_name if isinstance(cause, psycopg.Error) else None
