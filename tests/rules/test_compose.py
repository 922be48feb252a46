"""docker-compose.yml, its base, Dockerfile and .dockerignore match the project.

The tests read the text of the files, because Docker is not required to run the tests.
"""

import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings

from config.settings import BASE_DIR
from tests.processes import environment

COMPOSE = (BASE_DIR / "docker-compose.yml").read_text()
BASE = (BASE_DIR / "docker-compose.base.yml").read_text()
DOCKERFILE = (BASE_DIR / "Dockerfile").read_text()
# docker-compose.yml sets these itself: DEBUG stays off, and the database is the service `database`.
FIXED = {
    "DEBUG",
    "DATABASE_URL",
    "DATABASE_PASSWORD_FILE",
    "DATABASE_SSLMODE",
    "DATABASE_SSLROOTCERT",
    "DATABASE_PGBOUNCER",
    "DEMO_PASSWORD",
}


def service(name: str) -> str:
    (text,) = re.findall(rf"(?m)^  {name}:\n((?:    .*\n|\n)+)", COMPOSE)
    return str(text)


def test_every_variable_is_passed_on_except_the_fixed_ones() -> None:
    _, passed_on = BASE.split("    environment:\n")
    variables = re.findall(r"(?m)^([A-Z_]+)=", (BASE_DIR / ".env.example").read_text())

    assert set(re.findall(r"(?m)^ +([A-Z_]+):", passed_on)) == set(variables) - FIXED


def test_no_password_has_a_default() -> None:
    secrets = re.findall(r"(\w*(?:PASSWORD|SECRET_KEY)): (.*)", BASE + COMPOSE)

    assert {name for name, _ in secrets} == {
        "SECRET_KEY",
        "POSTGRES_PASSWORD",
        "CONDUIT_OWNER_PASSWORD",
        "CONDUIT_PASSWORD",
        "PGPASSWORD",
    }
    for name, value in secrets:
        # Compose stops when the variable is not set. PGPASSWORD repeats one that is checked above.
        ending = "" if name == "PGPASSWORD" else r":\?is not set, .*"
        assert re.fullmatch(rf"\$\{{\w+{ending}\}}", value), (name, value)


def test_each_service_uses_its_role_of_the_roles_file() -> None:
    roles = dict(re.findall(r"\\set (owner|app) (\w+)", (BASE_DIR / "docs/roles.sql").read_text()))
    users = re.findall(
        r"(?m)^  (\w+):\n(?:    .*?\n)*?      DATABASE_URL: postgresql://(\w+)@", COMPOSE
    )

    assert roles == {"owner": "conduit_owner", "app": "conduit"}
    assert dict(users) == {"migrate": roles["owner"], "api": roles["app"]}


def test_the_server_has_time_to_drain() -> None:
    (seconds,) = re.findall(r"stop_grace_period: (\d+)s", COMPOSE)

    assert int(seconds) > settings.SERVER_DRAIN_DELAY + settings.SERVER_GRACE


def test_compose_accepts_the_file() -> None:
    compose = shutil.which("docker-compose")
    if compose is None:
        pytest.skip("there is no docker-compose here")
    names = ("SECRET_KEY", "POSTGRES_PASSWORD", "CONDUIT_OWNER_PASSWORD", "CONDUIT_PASSWORD")

    process = subprocess.run(  # noqa: S603 -- the program found above
        [compose, "--file", BASE_DIR / "docker-compose.yml", "config", "--services"],
        env=dict.fromkeys(names, "a") | {"PATH": "/usr/bin:/bin"},
        cwd="/",  # no .env
        capture_output=True,
        text=True,
    )

    assert process.stderr == ""
    assert {*process.stdout.split()} == {"database", "migrate", "api"}


def test_one_service_builds_the_image_and_no_service_pulls_it() -> None:
    """Two services that build one tag are an error in Docker Compose: "already exists"."""
    assert len(re.findall(r"(?m)^ +build:", BASE + COMPOSE)) == 1
    assert "    build: ." in service("migrate")
    assert "    image: conduit-django\n    pull_policy: never\n" in BASE
    for name in ("migrate", "api"):
        assert "    extends: {file: docker-compose.base.yml, service: conduit}\n" in service(name)


def test_the_database_has_time_for_its_last_checkpoint() -> None:
    assert "stop_grace_period: 1m" in service("database")


def test_a_password_change_recreates_the_container_first() -> None:
    commands = re.findall(r"(?m)^ +# (docker compose .*)", service("database"))

    assert commands[0] == "docker compose up -d database"
    assert commands[1].startswith("docker compose exec database psql ")


def test_the_owner_loads_the_demo_data_because_it_may_analyze() -> None:
    page = (BASE_DIR / "docs/deploy.md").read_text()

    assert re.findall(r"docker compose run .* (\w+) python manage\.py demo_data", page) == [
        "migrate"
    ]


def test_the_image_has_a_numeric_user_and_readable_files() -> None:
    build, _, final = DOCKERFILE.rpartition("\nFROM ")

    assert re.findall(r"(?m)^USER (.*)", final) == ["10001:10001"]
    # The last step of the stage that the files are copied from: it changes all files.
    steps = re.findall(r"(?m)^[A-Z]+ .*", build)
    assert steps[-1] == "RUN chmod -R a+rX ."
    assert "COPY . ." in steps


def is_ignored(path: str) -> bool:
    """Matches like Docker for the two kinds of patterns in the file: paths, and `**/`."""
    patterns = re.findall(r"(?m)^[^#\n].*", (BASE_DIR / ".dockerignore").read_text())
    parts = path.split("/")
    return any(
        any(fnmatch(part, pattern.removeprefix("**/")) for part in parts)
        if pattern.startswith("**/")
        else fnmatch("/".join(parts[: pattern.count("/") + 1]), pattern)
        for pattern in patterns
    )


@pytest.mark.parametrize(
    "path",
    [
        ".env",
        ".env.example",
        ".env.production",
        ".git/config",
        ".postgres/data/PG_VERSION",
        ".venv/bin/python",
        "config/__pycache__/env.cpython-313.pyc",
        ".mypy_cache/3.13",
        "tests/settings.py",
        "database/embedded/server.py",
        "docs/roles.sql",
        "requirements-dev.lock",
        "SECURITY.md",
        ".github/dependabot.yml",
    ],
)
def test_the_image_has_no_files_that_production_does_not_need(path: str) -> None:
    assert is_ignored(path)


def test_the_image_has_the_files_that_the_server_needs() -> None:
    needed = ["manage.py", "requirements.lock", "LICENSE", "config/settings.py"]
    needed += ["config/templates/errors/page.html", "website/templates/website/home.html"]
    for app in apps.get_app_configs():
        if (BASE_DIR / app.label).is_dir():
            needed.append(f"{app.label}/apps.py")

    assert not [path for path in needed if is_ignored(path)]


def test_the_server_starts_with_the_files_of_the_image(tmp_path: Path) -> None:
    def ignored(folder: str, names: list[str]) -> set[str]:
        inside = Path(folder).relative_to(BASE_DIR)
        return {name for name in names if is_ignored((inside / name).as_posix())}

    shutil.copytree(BASE_DIR, tmp_path / "app", ignore=ignored)

    process = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=tmp_path / "app",
        env=environment(DATABASE_URL="postgresql://conduit@127.0.0.1:1/conduit"),
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (process.returncode, process.stderr) == (0, "")
