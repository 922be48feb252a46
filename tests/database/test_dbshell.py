"""`manage.py dbshell` runs psql with the connection options of the project."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess
from urllib.parse import quote

import pytest

from tests.database.clusters import DATABASE, PASSWORD, ROLE
from tests.database.servers import PostgreSQL
from tests.processes import database_url, free_port, run, run_forked

needs_psql = pytest.mark.skipif(not shutil.which("psql"), reason="there is no psql here")


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    with PostgreSQL() as server:
        yield server


def shell(statement: str, **variables: str) -> "CompletedProcess[str]":
    options = ["--no-psqlrc", "--tuples-only", "--no-align", "--command", statement]
    return run_forked("manage.py", "dbshell", "--", *options, **variables)


@needs_psql
def test_it_connects_to_the_embedded_server() -> None:
    process = shell("SELECT current_user, current_database()", DEBUG="on", DATABASE_URL="")

    assert process.stderr == ""
    assert process.stdout == "conduit|conduit\n"


def test_without_postgresql_it_uses_the_psql_of_the_embedded_server(tmp_path: Path) -> None:
    process = shell("SELECT 1", DEBUG="on", DATABASE_URL="", PATH=str(tmp_path))

    assert process.stderr == ""
    assert process.stdout == "1\n"


@needs_psql
def test_it_connects_over_a_unix_socket(db: None) -> None:
    process = shell("SELECT 1", DATABASE_URL=database_url())

    assert process.stderr == ""
    assert process.stdout == "1\n"


@needs_psql
def test_the_password_of_the_file_is_not_an_argument_of_psql(
    server: PostgreSQL, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    arguments = r"\! tr '\0' ' ' < /proc/$PPID/cmdline"
    url = f"postgresql://{ROLE}@{server.host}:{server.port}/{DATABASE}"
    variables = {"DATABASE_URL": url, "DATABASE_PASSWORD_FILE": str(file)}

    process = shell("SELECT inet_server_port()", **variables)
    command_line = shell(arguments, **variables).stdout
    in_url = shell(arguments, DATABASE_URL=server.url()).stdout

    assert process.stderr == ""
    assert process.stdout == f"{server.port}\n"
    for line in (command_line, in_url):
        assert "psql --no-psqlrc" in line
        assert PASSWORD not in line


@needs_psql
def test_of_several_hosts_it_connects_to_the_one_that_accepts_writes(server: PostgreSQL) -> None:
    with PostgreSQL(default_transaction_read_only="on") as standby:
        hosts = ",".join(f"127.0.0.1:{port}" for port in (free_port(), standby.port, server.port))
        user = f"{ROLE}:{quote(PASSWORD, safe='')}"
        url = f"postgresql://{user}@{hosts}/{DATABASE}?target_session_attrs=read-write"
        process = shell("SELECT inet_server_port()", DATABASE_URL=url)

    assert process.stderr == ""
    assert process.stdout == f"{server.port}\n"


@needs_psql
def test_it_uses_the_tls_options_of_the_url() -> None:
    with PostgreSQL(ssl=True) as server:
        options = {"sslmode": "verify-full", "sslrootcert": str(server.authority)}
        encrypted = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        process = shell(encrypted, DATABASE_URL=server.url(**options))
        refused = shell(encrypted, DATABASE_URL=server.url(sslmode="verify-full"))

    assert process.stdout == "t\n"
    assert "root certificate" in refused.stderr


@needs_psql
def test_statements_have_no_timeout(db: None) -> None:
    url = database_url(options="-c search_path=pg_catalog -c statement_timeout=1")

    process = shell(
        "SELECT current_setting('statement_timeout'), current_setting('search_path'),"
        " current_setting('idle_in_transaction_session_timeout')",
        DATABASE_URL=url,
    )

    assert process.stdout == "0|pg_catalog|0\n"


@needs_psql
def test_a_failure_shows_no_password() -> None:
    url = f"postgresql://conduit:{quote(PASSWORD, safe='')}@127.0.0.1:{free_port()}/conduit"

    process = shell("SELECT 1", DATABASE_URL=url)

    assert process.returncode == 2
    assert process.stderr.splitlines()[-1].startswith('CommandError: "psql ')
    assert PASSWORD not in process.stderr


def test_an_embedded_server_that_cannot_start_is_reported_in_one_line(tmp_path: Path) -> None:
    program = (
        "from pathlib import Path; from django.conf import settings;"
        "from database.embedded import EmbeddedServer;"
        "from django.core.management import execute_from_command_line as execute;"
        "settings.DATABASES['default']['OPTIONS']['embedded']"
        f" = EmbeddedServer(Path({str(tmp_path / 'file')!r}), 'conduit');"
        "execute(['manage.py', 'dbshell'])"
    )
    (tmp_path / "file").touch()

    process = run(
        "-c", program, DEBUG="on", DATABASE_URL="", DJANGO_SETTINGS_MODULE="config.settings"
    )

    assert process.returncode == 69
    (sentence,) = process.stderr.splitlines()
    assert sentence.startswith("CommandError: PostgreSQL cannot be started")
