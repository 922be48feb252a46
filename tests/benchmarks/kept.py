"""Clusters that are filled once and kept: a million articles take minutes to load.

They are in `.bench/`, by size and by what they are made of. A benchmark starts them in place and
leaves the content as it found it; what writes does so in a copy of the database.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import psycopg
from psycopg import sql

from config.settings import BASE_DIR
from tests.benchmarks import content
from tests.database.clusters import DATABASE
from tests.database.servers import PostgreSQL, migrated
from tests.processes import environment

FOLDER = BASE_DIR / ".bench"
APPS = ("articles", "database", "profiles", "users")

LOADING: dict[str, object] = {
    "shared_buffers": "2GB",
    "work_mem": "512MB",
    "maintenance_work_mem": "512MB",
    "max_wal_size": "8GB",
    "wal_level": "minimal",
    "max_wal_senders": 0,
    "full_page_writes": "off",
    "autovacuum": "off",
}
# Both sizes fit in memory, and nothing runs but what is asked. What is kept outlives a power cut.
SERVING: dict[str, object] = {"shared_buffers": "2GB", "autovacuum": "off", "fsync": "on"}


class InPlace(PostgreSQL):
    """A server over a data directory that stays where it is, in `folder`."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        super().__init__(**settings)
        self.folder = folder
        self.log = folder / "log"

    def __enter__(self) -> Self:
        pid = self.folder / "data/postmaster.pid"
        with suppress(FileNotFoundError):
            # Of a run that was killed. While its server lives, PostgreSQL refuses to start.
            if not Path("/proc", pid.read_text().split()[0]).exists():
                pid.unlink()
        self.log.unlink(missing_ok=True)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self.stop()


@contextmanager
def site(name: str, **settings: object) -> Iterator[PostgreSQL]:
    """A running server with the content of this size, loaded if it is not kept yet."""
    with InPlace(kept(name), **SERVING | settings) as server:
        yield server


@contextmanager
def copied(postgresql: PostgreSQL, name: str) -> Iterator[str]:
    """The URL of a copy of the database, to write to; it goes with the block. Nobody may be
    connected to the original when it begins."""
    drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
    copy = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(
        sql.Identifier(name), sql.Identifier(DATABASE)
    )
    url = postgresql.url().removesuffix(DATABASE)
    with psycopg.connect(f"{url}postgres", autocommit=True) as session:
        session.execute(drop)  # of a run that was killed
        session.execute(copy)
        try:
            yield f"{url}{name}"
        finally:
            session.execute(drop)


def kept(name: str) -> Path:
    """The folder of the content of this size, which is made unless it is there."""
    folder = FOLDER / f"{name}-{_digest()}"
    if not folder.exists():
        for old in FOLDER.glob(f"{name}-*"):
            shutil.rmtree(old)
        articles = content.SIZES[name].articles
        print(f"Loading {articles:,} articles, which the next runs will find.", flush=True)
        _make(folder, name)
    return folder


def program(name: str) -> str:
    """Another program of the same PostgreSQL, such as pgbench."""
    return str(migrated().kind.programs / name)


def manage(url: str, *arguments: str, seconds: float) -> "subprocess.CompletedProcess[str]":
    """`manage.py` with these arguments on the database at `url`, for so many seconds at most."""
    return subprocess.run(  # noqa: S603 -- our own interpreter
        [sys.executable, "manage.py", *arguments],
        cwd=BASE_DIR,
        env=environment(DATABASE_URL=url),
        capture_output=True,
        text=True,
        timeout=seconds,
    )


def _make(folder: Path, name: str) -> None:
    part = folder.with_suffix(".part")
    template = migrated()
    part.mkdir(parents=True)
    shutil.copytree(template.template(template.kind), part / "data")
    with InPlace(part, **LOADING) as server:
        with server.session() as session:
            content.load(session, content.SIZES[name])
        server.execute("VACUUM (ANALYZE, FREEZE)")
        # Triggers would have counted, had they been on.
        counted = manage(server.url(), "verify_counts", "--repair", seconds=600)
        assert counted.returncode == 0, counted.stderr
        server.execute("VACUUM (ANALYZE, FREEZE) articles_tally")
    os.sync()  # the load itself has left that to the kernel
    part.rename(folder)


def _digest() -> str:
    """Another one for another load, another schema or another PostgreSQL."""
    version = [program("postgres"), "--version"]
    digest = hashlib.sha256(subprocess.check_output(version))  # noqa: S603 -- PostgreSQL's own
    files = [Path(content.__file__)]
    for app in APPS:
        files += sorted((BASE_DIR / app / "migrations").glob("*.py"))
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
