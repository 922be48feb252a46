"""Makes the pictures in `docs/screenshots/`: `make screenshots`."""

import os

import tests.settings  # noqa: F401 -- sets the environment for config.settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
