"""A PostgreSQL from a Python wheel, for development and tests. Production installs lack it."""

from database.embedded.server import EmbeddedServer, programs, start

__all__ = ["EmbeddedServer", "programs", "start"]
