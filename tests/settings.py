"""The settings of the tests: the project's settings, without the variables of `.env` and the
shell. Only DATABASE_URL is kept, to run the tests against another server."""

import os
import re
import secrets
from dataclasses import replace
from pathlib import Path

EXAMPLE = Path(__file__).parents[1] / ".env.example"

for name in re.findall(r"(?m)^([A-Z_]+)=", EXAMPLE.read_text()):
    if name != "DATABASE_URL":
        os.environ.pop(name, None)
os.environ |= {
    "ENV_FILE": os.devnull,
    "DEBUG": "on",
    "SERVER_THREADS": "32",  # the tests of races log in on 20 threads at once
    # A new key for each run: processes with the same key share the counters of the machine.
    "SECRET_KEY": f"a key for the tests {secrets.token_hex()}",
}

from config.settings import *  # noqa: E402, F403 -- after the environment is set

options = DATABASES["default"]["OPTIONS"]  # noqa: F405 -- imported above
# The tests of races start 20 threads at once in this process. None of them is refused while
# PostgreSQL waits for the disk.
del options["pool"]["max_waiting_when_stalled"]
# Seconds. Slow statements on a busy machine add nothing to the log, which tests read.
options["limits"] = replace(options["limits"], slow_query=60)
