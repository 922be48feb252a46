"""What `manage.py dbcheck` reports, and how soon; `serve` reports the same and does not start."""

import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from subprocess import CompletedProcess
from tempfile import TemporaryDirectory
from typing import LiteralString

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from psycopg import sql

from database.backend import DatabaseWrapper
from database.serving import problems
from tests.database.pgbouncer import PgBouncer
from tests.database.servers import PostgreSQL, migrated, wait_until
from tests.processes import database_url, free_port, run, run_forked
from tests.stalls import assert_within, repeated_if_stalled

# Runs dbcheck with an embedded server in another folder.
EMBEDDED = """
import sys
from pathlib import Path
from config import settings
from database.embedded import EmbeddedServer
settings.DATABASES["default"]["OPTIONS"]["embedded"] = EmbeddedServer(Path(sys.argv[1]), 'conduit')
from django.core.management import execute_from_command_line
execute_from_command_line(["manage.py", "dbcheck"])
"""


def dbcheck(url: str, *arguments: str, **variables: str) -> "CompletedProcess[str]":
    variables = {"SERVER_WORKERS": "2", "DATABASE_STARTUP_TIMEOUT": "5"} | variables
    return run_forked("manage.py", "dbcheck", *arguments, DATABASE_URL=url, **variables)


def problem(process: "CompletedProcess[str]", exit_status: int) -> str:
    """The only line of the output, after the process ended with this status."""
    assert process.returncode == exit_status, process.stderr
    assert process.stdout == ""
    (line,) = process.stderr.splitlines()
    return line


@pytest.fixture
def session(db: None) -> Iterator[psycopg.Connection]:
    """The session of a superuser, with autocommit."""
    with psycopg.connect(database_url(), autocommit=True) as session:
        yield session


@pytest.fixture
def writer(session: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Use the same database with a role that may only read and write rows."""
    session.execute("CREATE ROLE writer LOGIN")
    session.execute("GRANT pg_read_all_data, pg_write_all_data TO writer")
    monkeypatch.setitem(connection.settings_dict, "USER", "writer")
    yield
    session.execute("DROP OWNED BY writer")
    session.execute("DROP ROLE writer")


@pytest.fixture
def unmigrated(
    session: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, writer: None
) -> Iterator[None]:
    """Use an empty database."""
    session.execute("CREATE DATABASE unmigrated")
    monkeypatch.setitem(connection.settings_dict, "NAME", "unmigrated")
    yield
    session.execute("DROP DATABASE unmigrated")


def check(*, workers: int = 2, threads: int = 16) -> list[str]:
    found = list(problems(workers=workers, threads=threads, patience=10))
    assert {problem.exit_status for problem in found} <= {78}
    return [problem.text for problem in found]


def test_a_correct_database_passes(db: None) -> None:
    process = dbcheck(database_url())

    assert process.returncode == 0
    assert process.stderr.startswith('Warning: The role "conduit" is a superuser; docs/roles.sql')
    assert process.stdout == "The database is ready for the server.\n"


def test_a_role_that_is_not_a_superuser_passes_without_a_warning(writer: None) -> None:
    assert check() == []


def test_it_starts_the_embedded_server() -> None:
    with TemporaryDirectory(prefix="embedded-") as folder:
        Path(folder).chmod(0o755)
        settings = {"DJANGO_SETTINGS_MODULE": "config.settings", "DEBUG": "on"}
        process = run("-c", EMBEDDED, f"{folder}/pg", **settings)
        pid = Path(folder, "pg/data/postmaster.pid")
        wait_until(lambda: not pid.exists(), "the server has stopped")

    # No other problem: in the embedded server every role is a superuser.
    assert problem(process, 78).startswith("Unapplied migrations: ")


def test_a_missing_database_is_reported(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.settings_dict, "NAME", "nobody-has-made-it")

    (text,) = check()

    assert text.startswith("The database can't be used: connection failed: ")
    assert text.endswith('FATAL: database "nobody-has-made-it" does not exist; set DATABASE_URL.')


def test_migrations_that_are_not_applied_are_reported(unmigrated: None) -> None:
    (text,) = check()

    assert text.startswith("Unapplied migrations: ")
    assert text.endswith("; run `manage.py migrate`.")


@pytest.mark.django_db(transaction=True)
def test_a_single_migration_that_is_not_applied_is_reported(
    session: psycopg.Connection, writer: None
) -> None:
    last = ("articles", "0001_initial")
    session.execute("DELETE FROM django_migrations WHERE app = %s AND name = %s", last)
    try:
        (text,) = check()
    finally:
        session.execute(
            "INSERT INTO django_migrations (app, name, applied) VALUES (%s, %s, now())", last
        )

    assert text.startswith("Unapplied migrations: 1, for example articles.0001_initial; ")


def test_a_missing_right_to_read_the_migrations_is_reported(
    session: psycopg.Connection, writer: None
) -> None:
    session.execute("REVOKE pg_read_all_data FROM writer")

    (text,) = check()

    assert "permission denied for table django_migrations" in text
    assert "docs/roles.sql" in text


@pytest.mark.parametrize("right", ["SELECT", "INSERT", "UPDATE", "DELETE"])
def test_a_missing_right_on_a_table_is_reported(
    session: psycopg.Connection, writer: None, right: LiteralString
) -> None:
    session.execute("REVOKE pg_read_all_data, pg_write_all_data FROM writer")
    session.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO writer")
    # An insert into an identity column needs no right on its sequence.
    assert check() == []

    session.execute(
        sql.SQL("REVOKE {} ON articles_tally, users_user FROM writer").format(sql.SQL(right))
    )

    assert check() == [
        "The database role lacks SELECT, INSERT, UPDATE or DELETE on these tables:"
        ' "articles_tally", "users_user"; docs/roles.sql grants them.'
    ]


@pytest.mark.parametrize(("workers", "largest"), [(30, 8), (2, 98)])
def test_max_connections_must_be_enough_for_every_pool(
    writer: None, monkeypatch: pytest.MonkeyPatch, workers: int, largest: int
) -> None:
    monkeypatch.setattr(DatabaseWrapper, "_connection_pools", {})
    monkeypatch.setitem(connection.settings_dict["OPTIONS"]["pool"], "max_size", largest)

    assert check(workers=workers) == [
        f"The server needs {workers} x ({largest} + 1) = {workers * (largest + 1)} connections,"
        " but max_connections minus the reserved ones is 197; lower SERVER_WORKERS or"
        " DATABASE_POOL_MAX, or raise this limit."
    ]


def test_max_connections_must_be_enough_for_every_thread_without_a_pool(
    writer: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(connection.settings_dict["OPTIONS"], "pool")

    assert check(workers=4, threads=48) == []
    (text,) = check(workers=4, threads=49)
    assert text.startswith("The server needs 4 x (49 + 1) = 200 connections, but max_connections")
    assert "lower SERVER_WORKERS or SERVER_THREADS" in text


@pytest.mark.parametrize(
    ("alter", "whose"),
    [
        ("ALTER ROLE writer CONNECTION LIMIT {}", 'role "writer"'),
        ("ALTER DATABASE {} CONNECTION LIMIT {}", 'database "{}"'),
    ],
)
def test_the_connection_limits_of_the_role_and_the_database_are_checked(
    session: psycopg.Connection, writer: None, alter: LiteralString, whose: str
) -> None:
    name = connection.settings_dict["NAME"]
    of_database = [sql.Identifier(name)] if "DATABASE" in alter else []

    def limit(count: int) -> None:
        session.execute(sql.SQL(alter).format(*of_database, count))

    try:
        limit(17)
        (text,) = check(workers=2)
        limit(18)
        enough = check(workers=2)
    finally:
        limit(-1)

    assert f"the CONNECTION LIMIT of the {whose.format(name)} is 17; lower " in text
    assert enough == []


def test_behind_pgbouncer_the_role_must_have_the_settings(
    session: psycopg.Connection, writer: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "pgbouncer", True)
    monkeypatch.delitem(connection.settings_dict["OPTIONS"], "options")
    session.execute("ALTER ROLE writer SET TimeZone = 'Asia/Tokyo'")

    # The number of connections is not checked, because the limit of PgBouncer is unknown.
    assert [text.partition("ALTER ROLE ")[2] for text in check(workers=1000)] == [
        "\"writer\" SET TimeZone = 'UTC';",
        "\"writer\" SET statement_timeout = '10s';",
        "\"writer\" SET idle_in_transaction_session_timeout = '10s';",
    ]
    session.execute("ALTER ROLE writer SET TimeZone = 'UTC'")
    session.execute("ALTER ROLE writer SET statement_timeout = '15s'")  # the hard deadline
    session.execute("ALTER ROLE writer SET idle_in_transaction_session_timeout = '1s'")
    (text,) = check()
    assert text.endswith("SET statement_timeout = '10s';")
    session.execute("ALTER ROLE writer SET statement_timeout = '14s'")
    assert check() == []


def test_all_problems_are_reported_at_once(unmigrated: None) -> None:
    assert len(check(workers=30)) == 2


@pytest.mark.parametrize("option", ["--workers", "--threads"])
def test_workers_and_threads_must_be_1_or_more(option: str) -> None:
    with pytest.raises(CommandError, match=f"{option}: it must be 1 or more"):
        call_command("dbcheck", f"{option}=0")


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    with migrated() as server:
        yield server


@pytest.fixture(scope="module")
def tls_server() -> Iterator[PostgreSQL]:
    """A server that supports TLS and does not require it."""
    with migrated(ssl=True) as server:
        yield server


Command = Callable[..., "CompletedProcess[str]"]


def serve(url: str, *arguments: str, **variables: str) -> "CompletedProcess[str]":
    variables = {"SERVER_WORKERS": "2", "DATABASE_STARTUP_TIMEOUT": "5"} | variables
    port = ["--port", str(free_port())]
    return run("manage.py", "serve", *port, *arguments, DATABASE_URL=url, **variables)


dbcheck_and_serve = pytest.mark.parametrize("command", [dbcheck, serve])


def assert_not_in_output(secret: str, process: "CompletedProcess[str]") -> None:
    said = process.stdout + process.stderr
    assert secret not in said
    assert "Traceback" not in said


@pytest.fixture(scope="module")
def startup_seconds() -> float:
    """The seconds that a command needs to start, under the current load of the machine."""
    started = time.monotonic()
    run("manage.py", "dbcheck", "--help", DEBUG="on")
    return time.monotonic() - started


@dbcheck_and_serve
@pytest.mark.parametrize("budget", [0.5, 3])
@repeated_if_stalled
def test_a_server_that_is_down_is_awaited_only_for_the_startup_timeout(
    command: Command, budget: float, startup_seconds: float
) -> None:
    url = f"postgresql://alice:hidden@127.0.0.1:{free_port()}/conduit"
    started = time.monotonic()

    process = command(url, DATABASE_STARTUP_TIMEOUT=str(budget))

    seconds = time.monotonic() - started
    assert seconds > budget - 0.5
    line = problem(process, 69)
    assert line.startswith("The database can't be reached: connection failed: connection to")
    assert "Connection refused" in line
    assert line.endswith("; check DATABASE_URL.")
    assert_not_in_output("hidden", process)
    assert_within(seconds, budget + 2 + startup_seconds)


@dbcheck_and_serve
@pytest.mark.faults
@repeated_if_stalled
def test_a_wrong_password_is_reported_at_once(
    command: Command, server: PostgreSQL, startup_seconds: float
) -> None:
    url = f"postgresql://conduit:hidden@127.0.0.1:{server.port}/conduit"
    started = time.monotonic()

    process = command(url, DATABASE_STARTUP_TIMEOUT="60")

    seconds = time.monotonic() - started
    line = problem(process, 78)
    assert 'FATAL: password authentication failed for user "conduit"' in line
    assert line.endswith("; set DATABASE_URL or DATABASE_PASSWORD_FILE.")
    assert_not_in_output("hidden", process)
    assert_within(seconds, 2 + startup_seconds)


@dbcheck_and_serve
@pytest.mark.faults
def test_an_untrusted_certificate_is_reported_at_once(
    command: Command, tls_server: PostgreSQL
) -> None:
    with migrated(ssl=True) as stranger:
        url = tls_server.url(sslmode="verify-full", sslrootcert=str(stranger.authority))
        process = command(url, DATABASE_STARTUP_TIMEOUT="60")

    line = problem(process, 78)
    assert "certificate verify failed" in line
    assert line.endswith("; set DATABASE_SSLMODE or DATABASE_SSLROOTCERT.")
    assert_not_in_output("secret", process)


@pytest.mark.faults
def test_a_trusted_certificate_and_no_tls_both_pass(tls_server: PostgreSQL) -> None:
    verified = tls_server.url(sslmode="verify-full", sslrootcert=str(tls_server.authority))

    assert dbcheck(verified).returncode == 0
    assert dbcheck(tls_server.url(sslmode="disable")).returncode == 0


@pytest.mark.faults
def test_a_server_without_tls_is_reported_at_once(server: PostgreSQL) -> None:
    process = dbcheck(server.url(sslmode="require"), DATABASE_STARTUP_TIMEOUT="60")

    line = problem(process, 78)
    assert "server does not support SSL, but SSL was required" in line
    assert line.endswith("; set DATABASE_SSLMODE or DATABASE_SSLROOTCERT.")


@pytest.mark.faults
def test_another_machine_without_tls_is_a_warning() -> None:
    # An address of this machine that the check does not know as local.
    with migrated(host="127.0.0.2") as elsewhere:
        process = dbcheck(elsewhere.url(sslmode="prefer"))

    assert process.returncode == 0
    assert "Warning: The connection to 127.0.0.2 is not encrypted" in process.stderr


@dbcheck_and_serve
@pytest.mark.faults
def test_too_many_workers_are_reported_at_once(command: Command, server: PostgreSQL) -> None:
    process = command(server.url(), "--workers", "11")

    assert process.returncode == 78
    assert "The server needs 11 x (8 + 1) = 99 connections" in process.stderr
    assert_not_in_output("secret", process)


@pytest.mark.faults
def test_a_server_that_starts_meanwhile_passes() -> None:
    with migrated() as server, ThreadPoolExecutor(1) as thread:
        server.stop()
        with socket.create_server((server.host, server.port)) as listener:
            result = thread.submit(dbcheck, server.url(), DATABASE_STARTUP_TIMEOUT="20")
            listener.accept()[0].close()  # the first attempt fails
        server.start()

        assert result.result().returncode == 0


@pytest.mark.faults
def test_a_server_that_is_full_for_a_moment_is_awaited() -> None:
    full = b"too many clients already"
    few = {"SERVER_WORKERS": "1", "DATABASE_POOL_MAX": "2"}
    with migrated(max_connections=10) as server, ThreadPoolExecutor(1) as thread:
        with ExitStack() as sessions:
            for _ in range(10):
                sessions.enter_context(server.session())
            given_up = dbcheck(server.url(), **few)
            tries = server.log.read_bytes().count(full)
            result = thread.submit(dbcheck, server.url(), DATABASE_STARTUP_TIMEOUT="20", **few)
            wait_until(
                lambda: server.log.read_bytes().count(full) > tries,
                "the command has tried to connect",
            )

        assert full.decode() in problem(given_up, 69)
        assert tries > 1
        assert result.result().returncode == 0


@pytest.mark.faults
@repeated_if_stalled
def test_a_frozen_server_is_reported_after_the_startup_timeout(startup_seconds: float) -> None:
    with PostgreSQL() as server:
        server.freeze()
        started = time.monotonic()

        process = dbcheck(server.url(), DATABASE_STARTUP_TIMEOUT="2")

        seconds = time.monotonic() - started
        assert "timeout" in problem(process, 69)
        server.thaw()
    assert_within(seconds, 4 + startup_seconds)


@pytest.mark.faults
def test_a_pgbouncer_is_recognized_by_its_refusal_of_startup_options(server: PostgreSQL) -> None:
    with PgBouncer(server) as pgbouncer:
        refused = dbcheck(pgbouncer.url())
        unbounded = dbcheck(pgbouncer.url(), DATABASE_PGBOUNCER="on")

    line = problem(refused, 78)
    assert "unsupported startup parameter" in line
    assert line.endswith("; set DATABASE_PGBOUNCER=on.")
    assert "statement_timeout" in unbounded.stderr


@contextmanager
def tls_terminating_proxy(server: PostgreSQL) -> Iterator[int]:
    """A proxy that ends TLS and forwards one connection without it; yields its port."""

    def serve_one() -> None:
        client = listener.accept()[0]
        assert client.recv(8)[4:] == b"\x04\xd2\x16\x2f"  # SSLRequest
        client.sendall(b"S")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(server.authority, server.folder / "data/server.key")
        with (
            context.wrap_socket(client, server_side=True) as outside,
            socket.create_connection((server.host, server.port)) as inside,
        ):
            other = {outside: inside, inside: outside}
            while True:
                for end in select.select(other, [], [])[0]:
                    data = end.recv(65536)  # more than a record of TLS
                    if not data:
                        return
                    other[end].sendall(data)

    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        thread = threading.Thread(target=serve_one)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


@pytest.mark.faults
def test_tls_that_a_proxy_ends_is_reported(tls_server: PostgreSQL) -> None:
    demanded = {"sslmode": "verify-full", "sslrootcert": str(tls_server.authority)}
    with tls_terminating_proxy(tls_server) as port:
        url = tls_server.url(**demanded).replace(f":{tls_server.port}/", f":{port}/")
        process = dbcheck(url)

    assert process.returncode == 78
    assert "sslmode is verify-full, but the connection reaches the server without TLS" in (
        process.stderr
    )
