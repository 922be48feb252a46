"""Clusters that are filled once and kept, because a million articles take minutes to load.

They are in `.bench/`, named by site and by a digest of their sources. A benchmark starts the
cluster in place and does not change the content; benchmarks that write use a copy of the database.

`demo-small` and `demo-large` have the content of `manage.py demo_data`: users have such content.
`small` and `large` have extremes, such as an author of thousands of articles (`content.py`).
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import psycopg
from psycopg import sql

from config.settings import BASE_DIR
from tests.benchmarks import content, copies
from tests.database.clusters import DATABASE, DEBIAN, Kind, embedded
from tests.database.servers import PostgreSQL, migrated
from tests.processes import environment

FOLDER = BASE_DIR / ".bench"
APPS = ("articles", "database", "profiles", "users")
# The number of copies of the same demo site. Both sizes have the content of this command.
DEMO_SITES = {"demo-small": 1, "demo-large": 50}
DEMO = ("demo_data", "--articles=20000", "--users=1000", "--until=2026-01-01")
EMBEDDED = embedded()
OLDEST = Kind(DEBIAN / "15/bin")  # the oldest PostgreSQL that the project supports

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

    def __init__(self, folder: Path, kind: Kind, **settings: Any) -> None:
        super().__init__(**settings)
        self.kind = kind
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
def site(
    name: str, kind: Kind = EMBEDDED, settings: Mapping[str, object] = {}
) -> Iterator[PostgreSQL]:
    """A running server with the content of this site, loaded if it is not kept yet."""
    with InPlace(kept(name, kind), kind, **SERVING, **settings) as server:
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


def kept(name: str, kind: Kind) -> Path:
    """The folder of the content of this site; creates it if it is missing."""
    prefix = f"{name}-{'embedded' if kind == EMBEDDED else 'oldest'}"
    folder = FOLDER / f"{prefix}-{_digest(kind)}"
    if not folder.exists():
        for old in FOLDER.glob(f"{prefix}-*"):
            shutil.rmtree(old)
        print(f"Loading the site {name}. The next runs use it again.", flush=True)
        _make(folder, name, kind)
    return folder


def program(name: str) -> str:
    """The path of a program of the embedded PostgreSQL, such as pgbench."""
    return str(EMBEDDED.programs / name)


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


def _make(folder: Path, name: str, kind: Kind) -> None:
    part = folder.with_suffix(".part")
    part.mkdir(parents=True)
    shutil.copytree(migrated().template(kind), part / "data")
    with InPlace(part, kind, **LOADING) as server:
        with server.session() as session:
            if name in content.SIZES:
                content.load(session, content.SIZES[name])
            else:
                _manage(server, *DEMO, f"--password={content.PASSWORD}")
                copies.multiply(session, DEMO_SITES[name])
        # Both load without triggers, so the counts are missing.
        _manage(server, "verify_counts", "--repair")
        server.execute("VACUUM (ANALYZE, FREEZE)")
    os.sync()  # the load ran without fsync
    part.rename(folder)


def _manage(server: PostgreSQL, *arguments: str) -> None:
    process = manage(server.url(), *arguments, seconds=1200)
    assert process.returncode == 0, process.stderr


def _digest(kind: Kind) -> str:
    """Changes with the content, the schema and the version of PostgreSQL."""
    version = [str(kind.programs / "postgres"), "--version"]
    digest = hashlib.sha256(subprocess.check_output(version))  # noqa: S603 -- PostgreSQL's own
    digest.update(repr((DEMO_SITES, DEMO)).encode())
    demo = BASE_DIR / "articles/demo"
    files = [
        Path(content.__file__),
        Path(copies.__file__),
        *sorted([*demo.glob("*.py"), *demo.rglob("*.toml")]),
    ]
    for app in APPS:
        migrations = BASE_DIR / app / "migrations"
        files += sorted([*migrations.glob("*.py"), *migrations.glob("sql/*.sql")])
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
