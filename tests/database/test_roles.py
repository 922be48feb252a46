"""docs/roles.sql: the owner migrates, and the API only reads and writes rows."""

import subprocess
from collections.abc import Iterator
from typing import LiteralString
from urllib.parse import quote

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege

from config.settings import BASE_DIR
from tests.api import test_session
from tests.database import clusters
from tests.database.clusters import DATABASE, ROLE
from tests.database.servers import PostgreSQL
from tests.processes import environment, run_forked, serving

OWNER, APP = "conduit_owner", "conduit_app"
PASSWORD = 'it\'s "a" $ecret'
PASSWORDS = {"CONDUIT_OWNER_PASSWORD": PASSWORD, "CONDUIT_PASSWORD": PASSWORD}


def set_roles(
    server: PostgreSQL, *options: str, database: str = DATABASE, **variables: str
) -> None:
    """Run docs/roles.sql as the administrator of a server."""
    psql = clusters.embedded().programs / "psql"
    address = [f"--host={server.folder}", f"--port={server.port}", f"--username={ROLE}"]
    script = ["--no-psqlrc", "--quiet", "--file=docs/roles.sql", f"--dbname={database}"]
    process = subprocess.run(  # noqa: S603 -- PostgreSQL's own program
        [psql, *address, *script, f"--set=app={APP}", *options],
        cwd=BASE_DIR,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (process.returncode, process.stderr) == (0, "")


def url_of(
    server: PostgreSQL, role: str, *, password: str = PASSWORD, database: str = DATABASE
) -> str:
    user = f"{role}:{quote(password, safe='')}"
    return f"postgresql://{user}@{server.host}:{server.port}/{database}"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    """A server with the roles, and with the tables that the owner has migrated."""
    with PostgreSQL() as server:
        set_roles(server, **PASSWORDS)
        set_roles(server, **PASSWORDS)
        migrated = run_forked(
            "manage.py", "migrate", "--verbosity=0", DATABASE_URL=url_of(server, OWNER)
        )
        assert migrated.returncode == 0, migrated.stderr
        yield server


@pytest.fixture
def app(server: PostgreSQL) -> Iterator[psycopg.Connection]:
    with psycopg.connect(url_of(server, APP), autocommit=True) as session:
        yield session


def test_the_whole_api_works_with_the_role_of_the_app(server: PostgreSQL) -> None:
    with serving(DATABASE_URL=url_of(server, APP)) as api:
        test_session.test_two_users_register_write_read_and_delete(api)


def test_the_content_commands_work_with_the_role_of_the_app(server: PostgreSQL) -> None:
    variables = {"DATABASE_URL": url_of(server, APP), "DEMO_PASSWORD": "password123"}

    loaded = run_forked(
        "manage.py", "demo_data", "--users=3", "--articles=5", "--append", **variables
    )
    exported = run_forked("manage.py", "export_articles", **variables)

    assert loaded.returncode == 0, loaded.stderr
    assert exported.stdout.count("\n") == 5, exported.stderr


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE own (id bigint)",
        "CREATE TEMPORARY TABLE own (id bigint)",
        "CREATE SCHEMA own",
        "CREATE FUNCTION own() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "ALTER TABLE articles_article DROP COLUMN body",
        "ALTER TABLE articles_article DISABLE TRIGGER ALL",
        "DROP TABLE articles_article",
        "TRUNCATE articles_article CASCADE",
        "CREATE INDEX ON articles_article (title)",
        "SET ROLE conduit_owner",
        "ALTER ROLE conduit_app SUPERUSER",
        "ALTER ROLE conduit_app CONNECTION LIMIT 1000",
        "CREATE ROLE somebody",
        "CREATE DATABASE own",
        "COPY articles_article TO PROGRAM 'cat'",
        "SELECT pg_read_file('PG_VERSION')",
    ],
)
def test_the_app_can_only_read_and_write_rows(
    app: psycopg.Connection, statement: LiteralString
) -> None:
    with pytest.raises(InsufficientPrivilege):
        app.execute(statement)


def test_the_app_has_rights_on_every_table_including_later_ones(
    server: PostgreSQL, app: psycopg.Connection
) -> None:
    with psycopg.connect(url_of(server, OWNER), autocommit=True) as owner:
        owner.execute("CREATE TABLE later (id bigserial, text text)")

    allowed = app.execute(
        "SELECT tablename, string_agg(privilege, ' ' ORDER BY privilege) FROM pg_tables,"
        " unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) AS privilege"
        " WHERE schemaname = 'public' AND has_table_privilege(tablename, privilege)"
        " GROUP BY tablename"
    ).fetchall()

    tables = server.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert sorted(allowed) == sorted((name, "DELETE INSERT SELECT UPDATE") for (name,) in tables)
    app.execute("INSERT INTO later (text) VALUES ('by the sequence')")
    assert app.execute("SELECT id FROM later").fetchone() == (1,)


def test_neither_role_has_rights_on_the_server(server: PostgreSQL) -> None:
    rights = server.execute(
        "SELECT rolname, rolconnlimit, rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication"
        " OR rolbypassrls FROM pg_roles WHERE rolname = ANY(%s) ORDER BY rolname",
        [[APP, OWNER]],
    )

    assert rights == [(APP, 90, False), (OWNER, -1, False)]


def test_other_roles_cannot_connect(server: PostgreSQL) -> None:
    server.execute("CREATE ROLE charlie LOGIN PASSWORD 'charlie'")

    with pytest.raises(psycopg.OperationalError, match='permission denied for database "conduit"'):
        psycopg.connect(url_of(server, "charlie", password="charlie"))


def test_a_password_changes_only_when_a_new_one_is_given(server: PostgreSQL) -> None:
    set_roles(server, CONDUIT_PASSWORD="another", CONDUIT_OWNER_PASSWORD="")

    psycopg.connect(url_of(server, APP, password="another")).close()
    psycopg.connect(url_of(server, OWNER)).close()
    set_roles(server, **PASSWORDS)


def test_for_pgbouncer_the_role_has_the_settings_of_the_startup_options(server: PostgreSQL) -> None:
    server.execute("CREATE DATABASE pooled")
    set_roles(server, "--set=pgbouncer=on", database="pooled")

    with psycopg.connect(url_of(server, APP, database="pooled")) as app:
        settings = app.execute(
            "SELECT current_setting('TimeZone'), current_setting('statement_timeout'),"
            " current_setting('idle_in_transaction_session_timeout'),"
            " current_setting('random_page_cost')"
        ).fetchone()
    with psycopg.connect(url_of(server, OWNER, database="pooled")) as owner:
        migration = owner.execute("SHOW statement_timeout").fetchone()

    assert settings == ("UTC", "10s", "10s", "1.1")
    assert migration == ("0",)


def test_a_role_that_owned_the_database_loses_its_ownership(server: PostgreSQL) -> None:
    server.execute("CREATE ROLE everything LOGIN CREATEDB PASSWORD 'everything'")
    server.execute("CREATE DATABASE old OWNER everything")
    url = url_of(server, "everything", password="everything", database="old")
    with psycopg.connect(url) as session:
        session.execute("CREATE TABLE kept (id bigserial)")
        session.execute("INSERT INTO kept DEFAULT VALUES")

    set_roles(server, "--set=app=everything", database="old")

    with psycopg.connect(url, autocommit=True) as session:
        assert session.execute("INSERT INTO kept DEFAULT VALUES RETURNING id").fetchone() == (2,)
        for statement in ("DROP TABLE kept", "CREATE TABLE own ()", "DROP DATABASE conduit"):
            with pytest.raises(InsufficientPrivilege):
                session.execute(statement)


def test_the_owner_gets_what_an_administrator_has_created(server: PostgreSQL) -> None:
    server.execute("CREATE DATABASE moved")
    statements = (
        "CREATE TABLE one (id int)",
        "CREATE OR REPLACE VIEW two AS SELECT id FROM one",
        "CREATE OR REPLACE FUNCTION three() RETURNS int LANGUAGE sql AS 'SELECT 3'",
    )
    with psycopg.connect(
        host=str(server.folder), port=server.port, user=ROLE, dbname="moved", autocommit=True
    ) as administrator:
        for statement in (*statements, "CREATE EXTENSION vector"):
            administrator.execute(statement)

    set_roles(server, database="moved")

    with psycopg.connect(url_of(server, OWNER, database="moved"), autocommit=True) as owner:
        for statement in ("ALTER TABLE one ADD COLUMN text text", *statements[1:]):
            owner.execute(statement)
        owners = owner.execute(
            "SELECT DISTINCT pg_get_userbyid(proowner) FROM pg_proc WHERE proname ~ '^vector'"
        ).fetchall()
    assert owners == [(ROLE,)]
