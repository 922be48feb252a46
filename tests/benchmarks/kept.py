"""Clusters that are filled once and kept, because a million articles take minutes to load.

They are in `.bench/`, named by size and by a digest of their sources. A benchmark starts the
cluster in place and does not change the content; benchmarks that write use a copy of the database.
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
# Both sizes fit in memory. Without autovacuum nothing else runs; fsync protects the kept data.
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
            # A killed run leaves the file. If its server still runs, PostgreSQL refuses to start.
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
    """The URL of a copy of the database for writes; the copy is dropped at the end of the block.

    The original must have no connections when the block begins.
    """
    drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
    copy = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(
        sql.Identifier(name), sql.Identifier(DATABASE)
    )
    url = postgresql.url().removesuffix(DATABASE)
    with psycopg.connect(f"{url}postgres", autocommit=True) as session:
        session.execute(drop)  # the copy of a run that was killed
        session.execute(copy)
        try:
            yield f"{url}{name}"
        finally:
            session.execute(drop)


def kept(name: str) -> Path:
    """The folder of the content of this size; creates it if it is missing."""
    folder = FOLDER / f"{name}-{_digest()}"
    if not folder.exists():
        for old in FOLDER.glob(f"{name}-*"):
            shutil.rmtree(old)
        articles = content.SIZES[name].articles
        print(f"Loading {articles:,} articles. The next runs use them again.", flush=True)
        _make(folder, name)
    return folder


def program(name: str) -> str:
    """The path of another program of the same PostgreSQL, such as pgbench."""
    return str(migrated().kind.programs / name)


def manage(url: str, *arguments: str, seconds: float) -> "subprocess.CompletedProcess[str]":
    """Run `manage.py` on the database at `url`, for at most `seconds`."""
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
        # The load turns off the triggers, so the counts are missing.
        counted = manage(server.url(), "verify_counts", "--repair", seconds=600)
        assert counted.returncode == 0, counted.stderr
        server.execute("VACUUM (ANALYZE, FREEZE) articles_tally")
    os.sync()  # the load ran without fsync
    part.rename(folder)


def _digest() -> str:
    """Changes with the content, the schema and the version of PostgreSQL."""
    version = [program("postgres"), "--version"]
    digest = hashlib.sha256(subprocess.check_output(version))  # noqa: S603 -- PostgreSQL's own
    files = [Path(content.__file__)]
    for app in APPS:
        migrations = BASE_DIR / app / "migrations"
        files += sorted([*migrations.glob("*.py"), *migrations.glob("sql/*.sql")])
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
