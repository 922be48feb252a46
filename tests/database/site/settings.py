"""The project's own settings and environment; only the views of the tests are added."""

from config.settings import *  # noqa: F403 -- settings are this module's names

ROOT_URLCONF = "tests.database.site.urls"
