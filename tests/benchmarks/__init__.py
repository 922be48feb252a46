"""Benchmarks. `make bench` runs them; pytest does not collect them."""

import os
import signal
import sys

import tests.settings  # noqa: F401 -- sets the environment for config.settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")


def exit_on_sigterm() -> None:
    """Exit on SIGTERM like on Ctrl-C, so that the servers are stopped."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
