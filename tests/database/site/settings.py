"""The settings of the project with the URLs of the test site."""

from config.settings import *  # noqa: F403 -- settings are this module's names

ROOT_URLCONF = "tests.database.site.urls"
