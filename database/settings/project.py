"""The Django settings that this app reads. Each has a default, so a project need not set any."""

import os
from typing import Any

from django.conf import settings

# Like os.process_cpu_count() of Python 3.13. Both ignore the CPU quota of a container.
_CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()

DEFAULTS: dict[str, Any] = {
    # Dotted names of functions. `database/requests/` documents their signatures.
    "DATABASE_FAILURE_RESPONSE": "database.requests.answers.failure",
    "IDEMPOTENCY_USER": "database.requests.answers.logged_in_user",
    "IDEMPOTENCY_REFUSAL": "database.requests.answers.key_refused",
    "IDEMPOTENCY_REBUILD": None,
    # The Redis in which all machines share the position of the acknowledged writes, as a URL of
    # redis-py. "": reads use the primary only.
    "DATABASE_POSITIONS_URL": "",
    # A regular expression for the paths whose GET requests read from the primary. "": none.
    "DATABASE_PRIMARY_PATHS": "",
    # Seconds that `dbcheck` waits for a database that is starting.
    "DATABASE_STARTUP_TIMEOUT": 10.0,
    # A bearer token for /metrics, of 8 bytes or more. "": only this machine may read the page.
    "METRICS_TOKEN": "",
    # The size of `serve`: processes, threads of each, and threads of each that only receive bodies.
    "SERVER_WORKERS": _CORES or 1,
    "SERVER_THREADS": 16,
    "SERVER_BODY_THREADS": 0,
    # Seconds that /readyz answers "draining" before `serve` stops, then for requests to end.
    "SERVER_DRAIN_DELAY": 0.0,
    "SERVER_GRACE": 30.0,
}


def project_setting(name: str) -> Any:
    """The value of one of the settings above. Raises KeyError for any other name."""
    return getattr(settings, name, DEFAULTS[name])
