"""The backend in another project: each step works with nothing but the settings that it shows."""

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from config.settings import BASE_DIR
from tests.database.clusters import DATABASE, PASSWORD, ROLE
from tests.database.servers import PostgreSQL, wait_until
from tests.processes import free_port

QUERIES = """
from typing import NamedTuple

from django.contrib.auth.models import Group
from django.db.models import QuerySet

from database.prepared import prepared


class Row(NamedTuple):
    name: str


@prepared(Row, using="other")
def groups(*, name: str | None = None) -> QuerySet[Group]:
    found = Group.objects.order_by("name")
    return found if name is None else found.filter(name=name)
"""

URLS = """
from django.http import HttpResponse
from django.urls import path

from database.health import health, livez, readyz
from database.metrics import metrics
from mysite.queries import groups


def names(request):
    return HttpResponse(",".join(row.name for row in groups()))


urlpatterns = [
    path("groups", names),
    path("health", health),
    path("livez", livez),
    path("readyz", readyz),
    path("metrics", metrics),
]
"""


class Project:
    """A folder as `django-admin startproject mysite` makes it, with `database` beside."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._run(["-m", "django", "startproject", "mysite", str(folder)])
        shutil.copytree(BASE_DIR / "database", folder / "database")
        shutil.rmtree(folder / "database" / "embedded")  # as in a production install

    def add(self, text: str) -> None:
        with (self.folder / "mysite" / "settings.py").open("a") as settings:
            settings.write(textwrap.dedent(text))

    def manage(self, *arguments: str) -> str:
        return self._run(["manage.py", *arguments])

    def shell(self, program: str) -> str:
        """The last line that the program prints."""
        return self.manage("shell", "--no-imports", "-c", textwrap.dedent(program)).splitlines()[-1]

    def _run(self, arguments: list[str]) -> str:
        process = subprocess.run(  # noqa: S603 -- our own interpreter
            [sys.executable, *arguments],
            cwd=self.folder,
            env=variables(),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert process.returncode == 0, process.stderr
        return process.stdout


def variables() -> dict[str, str]:
    """The environment of this process, without the project's variables."""
    own = ("DATABASE_", "DJANGO_", "SERVER_", "SECRET_KEY", "DEBUG", "ENV_FILE", "PYTHONPATH")
    return {name: value for name, value in os.environ.items() if not name.startswith(own)}


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    with PostgreSQL() as server:
        server.execute("CREATE DATABASE other")
        yield server


@pytest.fixture
def project(server: PostgreSQL, tmp_path: Path) -> Project:
    """A project with this ENGINE, and no other setting."""
    project = Project(tmp_path)
    project.add(f"""
        DATABASES = {{
            "default": {{
                "ENGINE": "database.backend",
                "HOST": {server.host!r},
                "PORT": {server.port},
                "NAME": {DATABASE!r},
                "USER": {ROLE!r},
                "PASSWORD": {PASSWORD!r},
            }}
        }}
    """)
    return project


POOL = """
    from django.db import connection
    with connection.cursor() as cursor:
        cursor.execute("SELECT 6 * 7")
        pool = connection.pool
        print(cursor.fetchone()[0], pool and pool.max_size)
"""


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (None, "42 None"),
        ({"pool": True}, "42 4"),  # psycopg's default size
        ({"pool": {"min_size": 1, "max_size": 3, "timeout": 5}}, "42 3"),
    ],
)
def test_the_engine_and_the_pool(
    project: Project, options: dict[str, object] | None, shown: str
) -> None:
    if options:
        project.add(f"DATABASES['default']['OPTIONS'] = {options!r}\n")

    assert project.shell(POOL) == shown


APP = """
    INSTALLED_APPS += ["database", "mysite"]
    MIDDLEWARE.insert(1, "database.requests.DatabaseMiddleware")
    MIDDLEWARE.append("database.requests.IdempotencyMiddleware")
    DATABASES["default"]["OPTIONS"] = {"pool": {"min_size": 1, "max_size": 2, "timeout": 1}}
    DATABASES["other"] = DATABASES["default"] | {"NAME": "other"}
    ALLOWED_HOSTS = ["testserver", "127.0.0.1"]
"""


@pytest.fixture
def app(project: Project) -> Project:
    """The project with the app, the middleware, the pages, and a second database."""
    project.add(APP)
    (project.folder / "mysite" / "queries.py").write_text(QUERIES)
    (project.folder / "mysite" / "urls.py").write_text(URLS)
    project.manage("migrate", "--verbosity=0")
    project.manage("migrate", "--verbosity=0", "--database=other")
    return project


def test_prepared_queries_of_a_second_database(app: Project) -> None:
    shown = app.shell("""
        from django.contrib.auth.models import Group
        from mysite.queries import groups
        Group.objects.using("other").get_or_create(name="editors")
        print([row.name for row in groups()], groups(name="nobody"))
    """)

    assert shown == "['editors'] []"
    assert app.manage("check", "--database", "default", "--database", "other").startswith("System")


def test_a_query_that_does_not_fit_the_second_database_is_found(
    app: Project, server: PostgreSQL
) -> None:
    address = make_conninfo(host=str(server.folder), port=server.port, user=ROLE, dbname="other")
    with psycopg.connect(address, autocommit=True) as session:
        session.execute("ALTER TABLE auth_group RENAME COLUMN name TO label")
        with pytest.raises(AssertionError, match=r'mysite\.queries\.groups.*"?name"?'):
            app.manage("check", "--database", "other")
        with pytest.raises(AssertionError, match=r"Database 'other': mysite\.queries\.groups"):
            app.manage("dbcheck")
        assert app.manage("check", "--database", "default").startswith("System")
        session.execute("ALTER TABLE auth_group RENAME COLUMN label TO name")


def test_the_commands_work_with_a_database_of_another_engine(project: Project) -> None:
    project.add("""
        INSTALLED_APPS.insert(0, "database")
        DATABASES["lite"] = {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "lite"}
    """)
    (project.folder / "nothing.json").write_text("[]")

    project.manage("migrate", "--database=lite")
    loaded = project.manage("loaddata", "--database=lite", "nothing.json")

    assert loaded.startswith("Installed 0 object(s)")


def test_the_middleware_answers_for_a_database_that_is_away(app: Project) -> None:
    app.add('DATABASES["other"]["PORT"] = 1\n')

    shown = app.shell("""
        from django.test import Client
        client = Client()
        answer, health, ready = map(client.get, ["/groups", "/health", "/readyz"])
        print(answer.status_code, answer["Retry-After"], answer.content.decode().strip(), "|",
              health.status_code, health.json()["database"], *health.json()["databases"], "|",
              ready.status_code, ready.json()["reason"], "|", client.get("/livez").status_code)
    """)

    unavailable = "503 1 The database is unavailable. Try again."
    assert shown == f"{unavailable} | 503 connected other | 503 unreachable | 200"


def test_the_server_and_its_pages(app: Project) -> None:
    app.add("""
        LOGGING = {
            "version": 1,
            "disable_existing_loggers": False,
            "filters": {
                "all": {
                    "()": "django.utils.log.CallbackFilter",
                    "callback": lambda record: "a secret",
                }
            },
            "handlers": {"console": {"class": "logging.StreamHandler", "filters": ["all"]}},
            "root": {"handlers": ["console"], "level": "INFO"},
        }
    """)
    assert app.manage("dbcheck") == "The database is ready for the server.\n"
    port = free_port()
    command = [sys.executable, "manage.py", "serve", f"--port={port}", "--workers=2"]
    with (app.folder / "log").open("w") as log:
        process = subprocess.Popen(  # noqa: S603 -- our own interpreter
            command, cwd=app.folder, env=variables(), stdout=log, stderr=log
        )
    try:
        wait_until(lambda: answers(port), "the server answers", 30)
        assert get(port, "/groups")[0] == 200
        status, health = get(port, "/health")
        assert status == 200
        assert {"status", "database", "pool", "databases"} == json.loads(health).keys()
        figures = get(port, "/metrics")[1]
        assert 'database_pool_max{database="other"}' in figures
        shown = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        assert b"database.server" in shown
        assert b"CallbackFilter" not in shown
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, (app.folder / "log").read_text()
    assert "Starting granian" in (app.folder / "log").read_text()


def answers(port: int) -> bool:
    try:
        return get(port, "/livez")[0] == 200
    except OSError:
        return False


def get(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()
