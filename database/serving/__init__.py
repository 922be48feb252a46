"""Checks of the databases before a server or a command uses them."""

from database.serving.checks import has_unapplied_migrations
from database.serving.dbcheck import problems
from database.serving.startup import require_database
from database.serving.system_check import check_queries

__all__ = ["check_queries", "has_unapplied_migrations", "problems", "require_database"]
