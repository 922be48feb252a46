"""A PostgreSQL from a wheel, for development and tests; not part of a production install."""

from database.embedded.server import EmbeddedServer
from database.embedded.starting import programs, start

__all__ = ["EmbeddedServer", "programs", "start"]
