"""Starts a PgBouncer for a test."""

import os
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import pytest

from tests.database.clusters import DATABASE, PASSWORD, ROLE, unprivileged
from tests.database.servers import PostgreSQL, wait_until
from tests.processes import free_port


class PgBouncer:
    """A PgBouncer in transaction mode in front of a server; skips the test if it is missing."""

    PROGRAM = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin")

    def __init__(self, server: PostgreSQL, **settings: object) -> None:
        if self.PROGRAM is None:
            pytest.skip("PgBouncer is not installed")
        self.port = free_port()
        self.server = server
        self.address = f"host={server.host} port={server.port}"
        self.settings: dict[str, object] = {
            "listen_addr": "127.0.0.1",
            "listen_port": self.port,
            "unix_socket_dir": "",
            "pool_mode": "transaction",
            "auth_type": "scram-sha-256",
        } | settings

    def __enter__(self) -> Self:
        assert self.PROGRAM
        self._temporary = TemporaryDirectory(prefix="pgbouncer-")
        folder = Path(self._temporary.name)
        users, self.log = folder / "users", folder / "log"
        users.write_text(f'"{ROLE}" "{PASSWORD}"\n')
        settings = self.settings | {"auth_file": users}
        lines = [
            "[databases]",
            f"{DATABASE} = {self.address}",
            "[pgbouncer]",
            *(f"{name} = {value}" for name, value in settings.items()),
        ]
        (folder / "pgbouncer.ini").write_text("\n".join(lines))
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 -- PgBouncer's own program
                unprivileged(folder, self.PROGRAM, folder / "pgbouncer.ini"),
                stdout=log,
                stderr=log,
            )
        wait_until(lambda: b"process up" in self.log.read_bytes(), "PgBouncer is ready")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait(10)
        self._temporary.cleanup()

    def url(self, **options: str) -> str:
        """The DATABASE_URL through this PgBouncer, with these libpq options."""
        return self.server.url(**options).replace(f":{self.server.port}/", f":{self.port}/")
