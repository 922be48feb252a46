"""What the database's errors mean to the code above it."""

import psycopg
from django.db import IntegrityError


def violated_constraint(error: IntegrityError) -> str | None:
    """The name of the constraint that refused a write, as PostgreSQL gives it."""
    cause = error.__cause__
    return cause.diag.constraint_name if isinstance(cause, psycopg.Error) else None
