"""docker-compose.yml keeps in step with what it starts; by its text, for want of a Docker."""

import re

from django.conf import settings

from config.settings import BASE_DIR

COMPOSE = (BASE_DIR / "docker-compose.yml").read_text()
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
