"""The test site in a clone in which nobody has run collectstatic."""

from pathlib import Path

from tests.database.site.settings import *  # noqa: F403 -- settings are this module's names

STATIC_ROOT = Path("/nonexistent")
