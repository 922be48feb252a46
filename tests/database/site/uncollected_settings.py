"""The test site without collected static files."""

from pathlib import Path

from tests.database.site.settings import *  # noqa: F403 -- settings are this module's names

STATIC_ROOT = Path("/nonexistent")
