"""The memory, the snapshot and the timeouts of `manage.py export_articles`, in another process."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from config.settings import BASE_DIR
from tests.database.pgbouncer import PgBouncer
from tests.database.servers import migrated, wait_until
from tests.processes import database_url, environment, run

# Exports the articles and prints the peak memory of the process in KiB. It reads the peak from
# /proc, because getrusage() includes the memory of the process that started this one.
PRINT_PEAK_OF_EXPORT = """
import re, sys
from pathlib import Path
import django; django.setup()
from django.core.management import call_command

call_command("export_articles", output=Path(sys.argv[1]), verbosity=0)
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")


def peak_of_export(file: Path, **variables: str) -> int:
    """The peak memory of an export to the file, in MiB."""
    process = run(
        "-c", PRINT_PEAK_OF_EXPORT, str(file), DJANGO_SETTINGS_MODULE="config.settings", **variables
    )
    assert process.returncode == 0, process.stderr
    return int(process.stdout) // 1024


def lines_of(file: Path) -> int:
    with file.open("rb") as lines:
        return sum(1 for _ in lines)


def write_articles(session: psycopg.Connection, count: int, *, length: int) -> None:
    """Add articles with bodies of this length, each with a tag and a favorite."""
    session.execute(
        "INSERT INTO users_user (username, username_folded, email, email_folded, password,"
        " is_active, is_staff, is_superuser, created_at)"
        " SELECT name, name, name, name, '', true, false, false, now() FROM (VALUES ('alice'))"
        " AS names (name) ON CONFLICT DO NOTHING"
    )
    session.execute("INSERT INTO articles_tag (name) VALUES ('dragons') ON CONFLICT DO NOTHING")
    session.execute(
        "INSERT INTO articles_article"
        " (author_id, slug, title, description, body, created_at, updated_at)"
        " SELECT users_user.id, gen_random_uuid(), 'Dragons', 'What they eat',"
        " repeat('x', %s), now(), now() FROM users_user, generate_series(1, %s)",
        [length, count],
    )
    session.execute(
        "INSERT INTO articles_tagging (article_id, tag_id)"
        " SELECT articles_article.id, articles_tag.id FROM articles_article, articles_tag"
        " ON CONFLICT DO NOTHING"
    )
    session.execute(
        "INSERT INTO articles_favorite (article_id, user_id, created_at)"
        " SELECT id, author_id, now() FROM articles_article ON CONFLICT DO NOTHING"
    )


@pytest.fixture
def session(transactional_db: None) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_url(), autocommit=True) as session:
        yield session


@linux_only
def test_the_memory_does_not_grow_with_long_bodies(
    session: psycopg.Connection, tmp_path: Path
) -> None:
    write_articles(session, 200, length=100_000)
    few = peak_of_export(tmp_path / "few", DATABASE_URL=database_url())
    write_articles(session, 1800, length=100_000)
    many = peak_of_export(tmp_path / "many", DATABASE_URL=database_url())

    assert (tmp_path / "many").stat().st_size > 200_000_000
    assert many <= few + 10


@linux_only
@pytest.mark.faults
def test_200_000_articles_take_the_memory_of_1_000(tmp_path: Path) -> None:
    with migrated() as server, PgBouncer(server) as pgbouncer, server.session() as session:
        ways = {
            "cursor": {"DATABASE_URL": server.url(sslmode="disable")},
            "pages": {"DATABASE_URL": pgbouncer.url(), "DATABASE_PGBOUNCER": "on"},
        }
        write_articles(session, 1_000, length=1_000)
        few = {way: peak_of_export(tmp_path / way, **variables) for way, variables in ways.items()}
        write_articles(session, 199_000, length=1_000)
        for way, variables in ways.items():
            peak = peak_of_export(tmp_path / way, **variables)

            assert lines_of(tmp_path / way) == 200_000
            assert peak <= few[way] + 10
        assert (tmp_path / "cursor").read_bytes() == (tmp_path / "pages").read_bytes()


def test_a_reader_may_pause_and_still_gets_the_first_snapshot(
    session: psycopg.Connection,
) -> None:
    write_articles(session, 300, length=10_000)
    command = [sys.executable, "manage.py", "export_articles"]
    url = database_url(application_name="export")
    variables = environment(
        DATABASE_URL=url,
        DATABASE_STATEMENT_TIMEOUT="0.2",
        DATABASE_IDLE_TRANSACTION_TIMEOUT="0.2",
    )
    with subprocess.Popen(  # noqa: S603 -- our own interpreter
        command, cwd=BASE_DIR, env=variables, stdout=subprocess.PIPE
    ) as export:

        def has_idled() -> bool:
            idle = (
                "SELECT FROM pg_stat_activity WHERE application_name = 'export'"
                " AND state = 'idle in transaction'"
                " AND state_change < clock_timestamp() - interval '0.5 seconds'"
            )
            return session.execute(idle).rowcount == 1

        wait_until(has_idled, "the export waits in its transaction, because its output is not read")
        write_articles(session, 1, length=1)
        session.execute("UPDATE articles_article SET title = 'Changed'")
        lines = [json.loads(line) for line in export.communicate(timeout=20)[0].splitlines()]

    assert export.returncode == 0
    assert [line["title"] for line in lines] == ["Dragons"] * 300
