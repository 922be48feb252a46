"""The checks of declared queries, and the commands that run them before the first request."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime
from decimal import Decimal
from subprocess import CompletedProcess
from time import monotonic, sleep
from typing import Any, LiteralString, NamedTuple

import psycopg
import pytest
from django.contrib.postgres.aggregates import ArrayAgg
from django.db import DEFAULT_DB_ALIAS
from django.db.migrations.loader import MigrationLoader
from django.db.models import Avg, Count, QuerySet, Sum
from django.utils.module_loading import autodiscover_modules

from articles.models import Article, Tag
from database.backend.connection import Connection
from database.prepared import Slice, checking, declared_queries, mismatches, prepared, sliced
from database.prepared.checking import BoundedSession
from tests.database.clusters import DATABASE
from tests.database.declared import TagRow
from tests.database.pgbouncer import PgBouncer
from tests.database.servers import PostgreSQL, migrated
from tests.processes import free_port, run_forked, runserver, serving
from tests.stalls import assert_within, repeated_if_stalled
from users.models import User

QUERY_NAME = f"{__name__}.query"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    with migrated() as server:
        yield server


@pytest.fixture
def session(server: PostgreSQL) -> Iterator[Connection]:
    with Connection.connect(server.url(), autocommit=True) as session:
        yield session


def check_queries(session: Connection) -> list[str]:
    return [*mismatches(session, seconds=10, using=DEFAULT_DB_ALIAS)]


@contextmanager
def changed(server: PostgreSQL, there: LiteralString, back: LiteralString) -> Iterator[None]:
    server.execute(there)
    yield
    server.execute(back)


def declare_tags(**options: Any) -> None:
    @prepared(TagRow, **options)
    def query(*, name: str | None = None, limit: Slice = 20) -> QuerySet[Tag]:
        tags = Tag.objects.all() if name is None else Tag.objects.filter(name=name)
        return sliced(tags.order_by("pk"), limit=limit)

    query.name = QUERY_NAME


def test_the_queries_of_the_apps_match_their_schema(session: Connection) -> None:
    autodiscover_modules("queries")

    assert len(declared_queries) > 5
    assert check_queries(session) == []
    assert session.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    assert session.execute("SELECT name FROM pg_prepared_statements").fetchall() == []


class MatchingRow(NamedTuple):
    pk: int
    title: str
    created_at: datetime
    author__bio: str | None
    author__is_active: bool
    names: list[str]
    average: Decimal | None
    tag_count: int


def test_rows_may_have_every_type_of_column(session: Connection, nothing_declared: None) -> None:
    @prepared(MatchingRow)
    def query() -> QuerySet[Article]:
        return Article.objects.annotate(
            names=ArrayAgg("tags__name"), average=Avg("pk"), tag_count=Count("tags")
        )

    assert check_queries(session) == []


class WrongRow(NamedTuple):
    pk: str
    title: int | None
    created_at: bool
    author__bio: bytes
    author__is_active: list[bool]
    names: list[int]
    total: int
    slug: dict[str, str]
    description: int | str


def test_a_wrong_type_is_reported_with_the_type_of_the_column(
    session: Connection, nothing_declared: None
) -> None:
    @prepared(WrongRow)
    def query() -> QuerySet[Article]:
        return Article.objects.annotate(names=ArrayAgg("tags__name"), total=Sum("pk"))

    test = test_a_wrong_type_is_reported_with_the_type_of_the_column.__name__
    name = f"{__name__}.{test}.<locals>.query"
    assert check_queries(session) == [
        f"{name}: WrongRow.{sentence}"
        for sentence in (
            "pk is str, the column is bigint",
            "title is int, the column is character varying",
            "created_at is bool, the column is timestamp with time zone",
            "author__bio is bytes, the column is character varying",
            "author__is_active is list[bool], the column is boolean",
            "names is list[int], the column is character varying[]",
            "total is int, the column is numeric",
            "slug is dict, the column is character varying",
            "description is int | str, the column is character varying",
        )
    ]


def test_a_column_that_differs_from_its_model_field_is_reported(
    server: PostgreSQL, session: Connection, nothing_declared: None
) -> None:
    @prepared(User)
    def query(*, pk: int) -> QuerySet[User]:
        return User.objects.filter(pk=pk)

    assert check_queries(session) == []
    there = "ALTER TABLE users_user ALTER bio TYPE text"
    with changed(server, there, "ALTER TABLE users_user ALTER bio TYPE varchar(2000)"):
        (sentence,) = check_queries(session)
    assert sentence.endswith("query: User.bio is varchar(2000), the column is text")


def test_a_row_needs_a_field_for_each_column(session: Connection, nothing_declared: None) -> None:
    class Nothing(NamedTuple):
        pass

    @prepared(Nothing)
    def query() -> QuerySet[Tag]:
        return Tag.objects.all()

    (sentence,) = check_queries(session)

    assert sentence.endswith("query: Nothing has 0 fields, but the query has 2 columns")


def test_an_error_of_every_shape_is_reported_once(
    server: PostgreSQL, session: Connection, nothing_declared: None
) -> None:
    declare_tags()
    there = "ALTER TABLE articles_tag RENAME name TO label"

    with changed(server, there, "ALTER TABLE articles_tag RENAME label TO name"):
        (sentence,) = check_queries(session)

    assert sentence == f"{QUERY_NAME}: column articles_tag.name does not exist"


def test_an_error_of_some_shapes_is_reported_with_these_shapes(
    session: Connection, nothing_declared: None
) -> None:
    @prepared(TagRow)
    def query(
        *, name: str | None = None, like: int | None = None, limit: Slice = 20
    ) -> QuerySet[Tag]:
        tags = Tag.objects.all()
        if name is not None:
            tags = tags.filter(pk=name)  # compiles, but PostgreSQL cannot prepare it
        if like is not None:
            tags = tags.filter(nothing=like)  # type: ignore[misc]  # does not compile
        return sliced(tags, limit=limit)

    query.name = QUERY_NAME
    of_like, of_name = sorted(check_queries(session))

    assert of_like.startswith(f"{QUERY_NAME}(like) and 3 more: Cannot resolve keyword 'nothing'")
    assert of_name.startswith(
        f"{QUERY_NAME}(name) and 1 more: operator does not exist: bigint = text No operator matches"
    )


def test_the_session_is_usable_after_an_error(session: Connection, nothing_declared: None) -> None:
    @prepared(TagRow)
    def broken(*, name: str) -> QuerySet[Tag]:
        return Tag.objects.filter(name__in=name)

    declare_tags()

    assert len(check_queries(session)) == 1
    assert len(check_queries(session)) == 1


def test_a_missing_index_is_reported(session: Connection, nothing_declared: None) -> None:
    declare_tags(indexes=["tag_once", "articles_tag_pkey", "tags_by_age"])

    assert check_queries(session) == [f"{QUERY_NAME}: the index tags_by_age does not exist"]


def test_an_invalid_index_is_reported(
    server: PostgreSQL, session: Connection, nothing_declared: None
) -> None:
    declare_tags(indexes=["halfway"])
    server.execute("INSERT INTO articles_tag (name) VALUES ('css'), ('java')")
    with suppress(psycopg.errors.UniqueViolation):
        server.execute("CREATE UNIQUE INDEX CONCURRENTLY halfway ON articles_tag ((id > 0))")

    with changed(server, "DELETE FROM articles_tag", "DROP INDEX halfway"):
        before = check_queries(session)
        server.execute("REINDEX INDEX halfway")
        after = check_queries(session)

    assert before == [f"{QUERY_NAME}: the index halfway is not valid, and needs a REINDEX"]
    assert after == []


PENDING = "?: (database.W001) The declared queries are not checked while migrations are"


def manage(server: PostgreSQL, *arguments: str) -> "CompletedProcess[str]":
    variables = {"SERVER_WORKERS": "2", "DEBUG": "on", "DATABASE_URL": server.url()}
    return run_forked("manage.py", *arguments, **variables)


def test_the_first_migrate_checks_the_queries_at_its_end() -> None:
    with PostgreSQL() as server:
        before = manage(server, "check", "--database", "default")
        migrated = manage(server, "migrate")
        server.execute("ALTER TABLE articles_tag RENAME name TO label")
        forget = "DELETE FROM django_migrations WHERE app = 'sessions'"
        server.execute(forget)
        again = manage(server, "migrate", "--fake")
        skipped = manage(server, "migrate", "--skip-checks")
        server.execute(forget)
        planned = manage(server, "migrate", "--plan")

    assert before.returncode == 0
    for process in (before, planned):
        assert process.stderr.count(PENDING) == 1
    assert (migrated.returncode, migrated.stderr) == (0, "")
    assert PENDING not in again.stderr
    # Migrations were pending, so the queries were not checked before.
    assert "Applying sessions.0001_initial... FAKED" in again.stdout
    assert again.returncode == 1
    assert re.search(r"E001\) articles\.queries\.\w+.*: column \S+ does not exist", again.stderr)
    assert (skipped.returncode, skipped.stderr) == (0, "")
    assert "database.E001" not in planned.stderr


def test_every_starting_command_reports_queries_that_do_not_match() -> None:
    commands = {
        "check": ["check", "--database", "default"],
        "migrate": ["migrate"],
        "dbcheck": ["dbcheck"],
        "serve": ["serve", "--port", str(free_port())],
        "runserver": ["runserver", str(free_port())],
    }
    with migrated() as server, ThreadPoolExecutor(2) as threads:
        server.execute("ALTER TABLE articles_comment RENAME body TO content")
        server.execute("ALTER TABLE users_user ALTER image TYPE text[] USING ARRAY[image]")
        server.execute("DROP INDEX newest_visible_articles")
        processes = dict(
            zip(
                commands,
                threads.map(lambda arguments: manage(server, *arguments), commands.values()),
                strict=True,
            )
        )

    for name, process in processes.items():
        assert process.returncode == (78 if name in ("dbcheck", "serve") else 1), process.stderr
        lines = process.stderr.replace("?: (database.E001) ", "").splitlines()
        assert {
            "articles.queries.list_articles: the index newest_visible_articles does not exist",
            "articles.queries.comments_on: column articles_comment.body does not exist",
            "profiles.queries.profile_named: ProfileRow.image is str, the column is text[]",
            "users.queries.active_user: User.image is varchar(4096), the column is text[]",
        } <= {*lines}
        assert "Traceback" not in process.stderr


def test_a_missing_right_to_read_the_migrations_is_reported(server: PostgreSQL) -> None:
    server.execute("CREATE ROLE weak LOGIN PASSWORD 'weak'")
    url = f"postgresql://weak:weak@{server.host}:{server.port}/{DATABASE}"
    sentence = (
        "The database role lacks privileges: permission denied for table django_migrations;"
        " docs/roles.sql grants them."
    )

    for command in (["check", "--database", "default"], ["migrate"]):
        process = run_forked("manage.py", *command, DEBUG="on", DATABASE_URL=url)

        assert process.returncode == 1
        assert f"?: (database.E003) {sentence}" in process.stderr
        assert "Traceback" not in process.stderr


def test_queries_that_do_not_match_do_not_block_a_migration_backwards() -> None:
    ((app, newest),) = MigrationLoader(None).graph.leaf_nodes("articles")
    with migrated() as server:
        server.execute("ALTER TABLE users_user RENAME image TO picture")
        back = manage(server, "migrate", app, "0001")
        there = manage(server, "migrate", app, "0001")
        forth = manage(server, "migrate", app, newest)

    assert f"Unapplying {app}.{newest}... OK" in back.stdout
    for process in (back, there):
        assert process.returncode == 0
        assert process.stderr.count(PENDING) == 1
    # The queries are checked at the newest state, also when the command names this state.
    assert f"Applying {app}.{newest}... OK" in forth.stdout
    assert forth.returncode == 1
    assert "active_user: column users_user.image does not exist" in forth.stderr
    assert PENDING not in forth.stderr


def test_the_development_server_can_skip_the_checks() -> None:
    def unchecked(port: int) -> list[str]:
        return [*runserver(port), "--skip-checks"]

    with migrated() as server:
        server.execute("DROP INDEX newest_comments_of_article")
        with serving(unchecked, DEBUG="on", DATABASE_URL=server.url()) as api:
            assert api.call("GET", "/api/articles").status == 200


def test_an_unreachable_database_is_reported_only_when_it_is_checked() -> None:
    url = f"postgresql://conduit:hidden@127.0.0.1:{free_port()}/conduit"

    plain = run_forked("manage.py", "check", DEBUG="on", DATABASE_URL=url)
    asking = run_forked("manage.py", "check", "--database", "default", DEBUG="on", DATABASE_URL=url)

    assert plain.returncode == 0, plain.stderr
    assert asking.returncode == 1
    assert "?: (database.E002) The database can't be reached: " in asking.stderr
    assert "Traceback" not in asking.stderr
    assert "hidden" not in asking.stderr


@pytest.mark.faults
def test_the_checks_work_through_pgbouncer(server: PostgreSQL) -> None:
    clients = 8

    def check(_: int) -> list[str]:
        with Connection.connect(pgbouncer.url(), autocommit=True) as session:
            return check_queries(session)

    autodiscover_modules("queries")
    # Fewer sessions than clients, so each statement may use another session.
    with PgBouncer(server, default_pool_size=3) as pgbouncer, ThreadPoolExecutor(clients) as pool:
        assert [*pool.map(check, range(clients))] == [[]] * clients


@pytest.mark.faults
@repeated_if_stalled
def test_the_checks_of_a_frozen_server_end_in_time(nothing_declared: None) -> None:
    declare_tags()
    with migrated() as server, Connection.connect(server.url(), autocommit=True) as session:
        assert check_queries(session) == []
        server.freeze()
        started = monotonic()

        with pytest.raises(psycopg.OperationalError):
            [*mismatches(session, seconds=0, using=DEFAULT_DB_ALIAS)]

        seconds = monotonic() - started
        assert seconds > 0.9
        assert_within(seconds, 3)


def test_the_time_in_which_django_compiles_is_not_counted(
    server: PostgreSQL, session: Connection, nothing_declared: None
) -> None:
    @prepared(TagRow)
    def query(*, name: str) -> QuerySet[Tag]:
        sleep(2.5)  # a slow or busy machine
        return Tag.objects.filter(name=name)

    with server.session() as locker, ThreadPoolExecutor() as thread:
        locker.execute("BEGIN; LOCK TABLE articles_tag IN ACCESS EXCLUSIVE MODE")
        found = thread.submit(lambda: [*mismatches(session, seconds=3, using=DEFAULT_DB_ALIAS)])
        sleep(4)  # PostgreSQL answers after 1.5 seconds
        locker.execute("COMMIT")

        assert found.result() == []


def test_a_shape_with_a_literal_limit_is_not_checked_again(
    session: Connection, nothing_declared: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    described: list[str] = []

    class Recording(BoundedSession):
        def describe(self, text: str) -> list[int]:
            described.append(text)
            return super().describe(text)

    monkeypatch.setattr(checking, "BoundedSession", Recording)
    declare_tags(literals={"limit": [10]})

    assert check_queries(session) == []
    assert len(described) == 4  # with and without `name`, and with and without `limit`
    assert not any("LIMIT 10" in text for text in described)
