"""Measurements, run by hand (`make bench`), never collected by pytest."""

import os

import tests.settings  # noqa: F401 -- before config.settings, for which it sets the environment

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
