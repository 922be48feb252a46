"""What is checked before a server, or a command, uses the database."""

from database.serving.checks import findings, has_unapplied_migrations, prepared_queries
from database.serving.startup import require_database

__all__ = [
    "findings",
    "has_unapplied_migrations",
    "prepared_queries",
    "require_database",
]
