"""Measurements, run by hand (`make bench`), never collected by pytest."""

import os
import signal
import sys

import tests.settings  # noqa: F401 -- before config.settings, for which it sets the environment

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")


def stop_when_told() -> None:
    """End at a SIGTERM as at a Ctrl-C: what was started is stopped."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
