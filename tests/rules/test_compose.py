"""docker-compose.yml, Dockerfile and .dockerignore keep in step with what they start; by their
text, for want of a Docker."""

import re
import shutil
import subprocess
from fnmatch import fnmatch

import pytest
from django.apps import apps
from django.conf import settings

from config.settings import BASE_DIR

COMPOSE = (BASE_DIR / "docker-compose.yml").read_text()
DOCKERFILE = (BASE_DIR / "Dockerfile").read_text()
# What is settled here: never DEBUG, and the address of the database with all that is said of it.
SETTLED = {
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


def test_every_variable_is_passed_on_but_those_that_are_settled_here() -> None:
    (passed_on,) = re.findall(r"(?ms)^x-environment: .*?\n(.*?)^\S", COMPOSE)
    variables = re.findall(r"(?m)^([A-Z_]+)=", (BASE_DIR / ".env.example").read_text())

    assert set(re.findall(r"(?m)^  ([A-Z_]+):", passed_on)) == set(variables) - SETTLED


def test_no_password_is_known_to_everybody() -> None:
    secrets = re.findall(r"(\w*(?:PASSWORD|SECRET_KEY)): (.*)", COMPOSE)

    assert {name for name, _ in secrets} == {
        "SECRET_KEY",
        "POSTGRES_PASSWORD",
        "CONDUIT_OWNER_PASSWORD",
        "CONDUIT_PASSWORD",
        "PGPASSWORD",
    }
    for name, value in secrets:
        # Required where it is first asked for; without a default anywhere.
        ending = "" if name == "PGPASSWORD" else r":\?is not set, .*"
        assert re.fullmatch(rf"\$\{{\w+{ending}\}}", value), (name, value)


def test_each_comes_in_by_the_role_that_the_roles_file_makes_for_it() -> None:
    roles = dict(re.findall(r"\\set (owner|app) (\w+)", (BASE_DIR / "docs/roles.sql").read_text()))
    users = re.findall(
        r"(?m)^  (\w+):\n(?:    .*?\n)*?      DATABASE_URL: postgresql://(\w+)@", COMPOSE
    )

    assert roles == {"owner": "conduit_owner", "app": "conduit"}
    assert dict(users) == {"migrate": roles["owner"], "api": roles["app"]}


def test_the_server_is_left_the_time_to_drain() -> None:
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


def test_one_service_builds_the_image_and_no_registry_is_asked_for_it() -> None:
    """Two services that build one tag are an error in Docker Compose: "already exists"."""
    (shared,) = re.findall(r"(?ms)^x-conduit: .*?\n(.*?)^\S", COMPOSE)

    assert len(re.findall(r"(?m)^ +build:", COMPOSE)) == 1
    assert "    build: ." in service("migrate")
    assert "  image: conduit-django\n  pull_policy: never\n" in shared
    for name in ("migrate", "api"):
        assert "<<: *conduit" in service(name)


def test_the_database_is_left_the_time_for_its_last_checkpoint() -> None:
    assert "stop_grace_period: 1m" in service("database")


def test_a_changed_password_reaches_the_container_first() -> None:
    commands = re.findall(r"(?m)^ +# (docker compose .*)", service("database"))

    assert commands[0] == "docker compose up -d database"
    assert commands[1].startswith("docker compose exec database psql ")


def test_demo_content_is_written_by_the_owner_who_may_analyze() -> None:
    page = (BASE_DIR / "docs/deploy.md").read_text()

    assert re.findall(r"docker compose run .* (\w+) python manage\.py demo_data", page) == [
        "migrate"
    ]


def test_the_image_runs_as_a_number_and_its_files_are_readable() -> None:
    build, _, final = DOCKERFILE.rpartition("\nFROM ")

    assert re.findall(r"(?m)^USER (.*)", final) == ["10001:10001"]
    # After everything that writes files, and in the stage that they are copied from.
    steps = re.findall(r"(?m)^[A-Z]+ .*", build)
    assert steps[-1] == "RUN chmod -R a+rX ."
    assert "COPY . ." in steps


def is_ignored(path: str) -> bool:
    """As Docker does, for the patterns that the file has: of the top level, and `**/`."""
    patterns = re.findall(r"(?m)^[^#\n].*", (BASE_DIR / ".dockerignore").read_text())
    parts = path.split("/")
    return any(
        any(fnmatch(part, pattern.removeprefix("**/")) for part in parts)
        if pattern.startswith("**/")
        else fnmatch(parts[0], pattern)
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
        "docs/roles.sql",
        "requirements-dev.lock",
        "SECURITY.md",
        ".github/dependabot.yml",
    ],
)
def test_what_production_does_not_need_stays_out_of_the_image(path: str) -> None:
    assert is_ignored(path)


def test_what_the_server_needs_is_in_the_image() -> None:
    needed = ["manage.py", "requirements.lock", "LICENSE", "config/settings.py"]
    needed += ["config/templates/home.html"]
    for app in apps.get_app_configs():
        if (BASE_DIR / app.label).is_dir():
            needed.append(f"{app.label}/apps.py")

    assert not [path for path in needed if is_ignored(path)]
