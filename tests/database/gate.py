"""Requests of the test site that run until the test lets them end.

A test that needs several requests at the same time must not rely on their duration: on a busy
machine, the first one has ended before the last one begins.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import psycopg

from tests.database.servers import PostgreSQL

LOCK = 1  # the advisory lock for which a statement waits


class Gate:
    """A request with this query runs until `open`: `/api/test/hold?{gate.query}`."""

    def __init__(self, file: Path, session: psycopg.Connection) -> None:
        self._file, self._session = file, session
        self.query = urlencode({"gate": file})

    def open(self) -> None:
        self._file.unlink()
        self._session.execute("SELECT pg_advisory_unlock(%s)", [LOCK])


@contextmanager
def closed_gate(server: PostgreSQL) -> Iterator[Gate]:
    """A gate that is closed. At the end of the block it is open, also after an error.

    The statement timeout (default: 10 s) still ends a statement that waits for it.
    """
    file = server.folder / "gate"
    file.touch()
    try:
        with server.session() as session:
            session.execute("SELECT pg_advisory_lock(%s)", [LOCK])
            yield Gate(file, session)
    finally:
        file.unlink(missing_ok=True)
