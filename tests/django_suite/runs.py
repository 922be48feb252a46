"""One run of Django's test suite, on a PostgreSQL server of its own."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import tests.settings  # noqa: F401 -- before config.settings, for which it sets the environment
from tests.database import clusters
from tests.database.servers import PostgreSQL
from tests.django_suite.comparison import Outcomes
from tests.django_suite.source import ROOT, tests_folder
from tests.processes import environment

STOCK, OURS = "django.db.backends.postgresql", "database.backend"
MODES: dict[str, dict[str, Any]] = {
    "pool": {"OPTIONS": {"pool": {"min_size": 0, "max_size": 8}}},
    "persistent": {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True},
    "per-request": {},
}


def run(engine: str, mode: str, labels: Sequence[str]) -> Outcomes:
    """The outcome of every test with these labels.

    Raises RuntimeError if the run ends early.
    """
    # Without a host, the server listens on its unix socket only.
    with (
        TemporaryDirectory() as temporary,
        PostgreSQL(contrib=has_contrib(), host="") as server,
    ):
        report = Path(temporary) / "outcomes.json"
        variables = {
            "DJANGO_SETTINGS_MODULE": "tests.django_suite.settings",
            "PYTHONPATH": str(ROOT),
            "SUITE_DATABASES": json.dumps(_databases(server, ENGINE=engine, **MODES[mode])),
            "SUITE_REPORT": str(report),
            "TMPDIR": temporary,
        }
        process = subprocess.run(  # noqa: S603 -- our own interpreter
            [sys.executable, "runtests.py", "--parallel=1", "--noinput", *labels],
            cwd=tests_folder(),
            env=environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if not report.exists():
            raise RuntimeError(f"{engine}, {mode}: the run ended early\n{process.stdout}")
        outcomes: Outcomes = json.loads(report.read_text())
        return outcomes


def has_contrib() -> bool:
    """Whether Debian's PostgreSQL is installed; that of the wheel has no contrib and no ICU."""
    return any(clusters.DEBIAN.glob("*/bin/postgres"))


def _databases(server: PostgreSQL, **entry: Any) -> dict[str, Any]:
    entry |= {"USER": clusters.ROLE, "HOST": str(server.folder), "PORT": server.port}
    return {alias: {"NAME": alias} | entry for alias in ("default", "other")}
