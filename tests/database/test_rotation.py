"""The password of the role changes while the server runs, and no request fails.

The steps are `ALTER ROLE … PASSWORD`, then an atomic replacement of the file; old sessions may be
ended. Between the two steps no connection can be opened: open sessions continue, and a request
that needs a new connection waits up to DATABASE_ACQUIRE_TIMEOUT.
"""

import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from tests.database import application
from tests.database.clusters import DATABASE, PASSWORD, ROLE
from tests.database.load import failures, load, reading, slowest
from tests.database.servers import PostgreSQL, migrated
from tests.stalls import assert_within, repeated_if_stalled

pytestmark = pytest.mark.faults

PASSWORDS = ["the second one", "the third: 'one'"]
WITHOUT_PASSWORD = 1.0  # seconds, of the 5 that a request waits for a connection


@pytest.mark.parametrize("at_once", [False, True], ids=["with the file", "before the file"])
@repeated_if_stalled
def test_no_request_fails_when_the_password_changes(
    at_once: bool, tmp_path: Path, figures: Callable[[str], None]
) -> None:
    file = tmp_path / "password"
    write(file, PASSWORD)
    variables = {"DATABASE_PASSWORD_FILE": str(file)}
    read = reading("/api/test/select-1", "/api/articles")
    ended = []
    with migrated() as server:
        url = f"postgresql://{ROLE}@{server.host}:{server.port}/{DATABASE}"
        with application.serving(url, variables) as site, load(site.port, 20, read) as replies:
            for password in PASSWORDS:
                time.sleep(1)
                change_password(server, password)
                if at_once:
                    ended.append(server.terminate_sessions())
                time.sleep(WITHOUT_PASSWORD)
                write(file, password)
                if not at_once:
                    ended.append(server.terminate_sessions())
            time.sleep(2)
            sessions = len(server.sessions())
            accepted = [password for password in PASSWORDS if accepts(server, password)]
            said = site.said()

    failed = failures(replies)
    figures(
        f"{len(replies)} GETs, {len(failed)} failed, the slowest after {slowest(replies):.2f} s;"
        f" {' and '.join(map(str, ended))} sessions ended, {sessions} with the last password"
    )
    assert not failed, failed[0]
    assert all(ended)
    assert sessions
    assert accepted == PASSWORDS[-1:]
    assert not [password for password in [PASSWORD, *PASSWORDS] if password in said]
    assert_within(slowest(replies), WITHOUT_PASSWORD + 1)


def write(file: Path, password: str) -> None:
    """Replace the file atomically, because half a password is a wrong password."""
    file.with_suffix(".new").write_text(f"{password}\n")
    file.with_suffix(".new").replace(file)


def change_password(server: PostgreSQL, password: str) -> None:
    statement = sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(ROLE), password)
    with server.session() as session:
        session.execute(statement)


def accepts(server: PostgreSQL, password: str) -> bool:
    try:
        psycopg.connect(server.url(), password=password).close()
    except psycopg.OperationalError as error:
        if "password authentication failed" not in str(error):
            raise
        return False
    return True
