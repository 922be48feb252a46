"""The process reads its environment, or stops with one sentence that names the variable."""

import os
import re
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from config.env import Env
from config.settings import BASE_DIR
from tests.processes import run

PRODUCTION = {"DATABASE_URL": "postgresql://conduit:hidden@127.0.0.1:1/conduit"}


def read_settings(expression: str = "", **variables: str) -> CompletedProcess[str]:
    return run("-c", f"from config import settings; print({expression})", **variables)


def test_a_production_environment_is_enough() -> None:
    assert read_settings("settings.DEBUG", **PRODUCTION).stdout == "False\n"


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"SECRET_KEY": ""}, "SECRET_KEY is not set."),
        ({"SECRET_KEY": "short"}, "SECRET_KEY is too short: it needs 32 bytes or more."),
        (
            {"DATABASE_URL": ""},
            "DATABASE_URL is not set, and the embedded PostgreSQL needs DEBUG=on.",
        ),
        ({"DEBUG": "maybe"}, "DEBUG must be on or off, and is 'maybe'."),
        (
            {"TRUSTED_PROXIES": "-1"},
            "TRUSTED_PROXIES must be a whole number, 0 or more, and is '-1'.",
        ),
        (
            {"TOKEN_LIFETIME": "a week"},
            "TOKEN_LIFETIME must be a number of seconds, and is 'a week'.",
        ),
        (
            {"TOKEN_LIFETIME": "nan"},
            "TOKEN_LIFETIME must be a number of seconds, 1 or more, and is 'nan'.",
        ),
        ({"LOGIN_RATE": "often"}, "LOGIN_RATE must read like 600/minute, and is 'often'."),
        (
            {"DATABASE_CONNECTIONS": "many"},
            "DATABASE_CONNECTIONS must be one of pool, persistent, per-request, and is 'many'.",
        ),
        (
            {"DATABASE_POOL_MAX": "0"},
            "DATABASE_POOL_MAX must be a whole number, 1 or more, and is '0'.",
        ),
        (
            {"DATABASE_POOL_MIN": "9"},
            "DATABASE_POOL_MIN (9) is larger than DATABASE_POOL_MAX (8).",
        ),
    ],
)
def test_a_bad_value_stops_the_process_with_a_sentence(
    environment: dict[str, str], sentence: str
) -> None:
    stopped = read_settings(**PRODUCTION | environment)

    assert stopped.returncode == 1
    assert stopped.stderr == f"{sentence}\n"


@pytest.mark.parametrize(
    "url",
    [
        "mysql://root:hidden@127.0.0.1/conduit",
        "postgresql://conduit:hidden@127.0.0.1:port/conduit",
        "postgresql://conduit:hidden@127.0.0.1",
        "conduit:hidden",
    ],
)
def test_a_bad_database_url_is_refused_without_its_password(url: str) -> None:
    stopped = read_settings(**PRODUCTION | {"DATABASE_URL": url})

    assert stopped.returncode == 1
    assert stopped.stderr.startswith("DATABASE_URL ")
    assert "hidden" not in stopped.stderr
    assert stopped.stderr.count("\n") == 1


def test_a_secret_may_begin_with_a_dollar_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "$ECRET" * 8)

    assert Env(Path(os.devnull)).secret("SECRET_KEY", 32) == "$ECRET" * 8


def test_a_file_adds_variables_and_the_environment_wins_over_it(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("DEBUG=on\nALLOWED_HOSTS=one.example,two.example\nTOKEN_LIFETIME=60\n")

    read = read_settings(
        "settings.DEBUG, settings.ALLOWED_HOSTS, settings.TOKEN_LIFETIME.seconds",
        **PRODUCTION,
        ENV_FILE=str(file),
        TOKEN_LIFETIME="30",
    )

    assert read.stdout == "True ['one.example', 'two.example'] 30\n"


def test_plain_http_works_unless_https_is_asked_for() -> None:
    names = ("SECURE_SSL_REDIRECT", "SESSION_COOKIE_SECURE", "SECURE_HSTS_SECONDS")
    expression = ", ".join(f"settings.{name}" for name in names)

    assert read_settings(expression, **PRODUCTION).stdout == "False False 0\n"
    assert read_settings(expression, **PRODUCTION, HTTPS="on").stdout == "True True 31536000\n"


def test_the_example_file_holds_every_variable_with_its_default() -> None:
    source = "".join(
        (BASE_DIR / name).read_text() for name in ("config/settings.py", "database/url.py")
    )
    calls = re.findall(r'env\.\w+\(\s*"([A-Z_]+)"(?:, (?:default=)?("?[\w/]+"?))?', source)
    defaults = {name: default.strip('"').replace("_", "") for name, default in calls}
    example = dict(
        line.split("=", 1)
        for line in (BASE_DIR / ".env.example").read_text().splitlines()
        if line and not line.startswith("#")
    )

    assert example.keys() - {"DEMO_PASSWORD"} == defaults.keys()
    for name in ("DATABASE_POOL_MAX", "DATABASE_MAX_LIFETIME", "TOKEN_LIFETIME", "LOGIN_RATE"):
        assert example[name] == defaults[name], name


def test_the_example_file_can_be_used_as_it_is(tmp_path: Path) -> None:
    read = read_settings(
        "settings.DEBUG, settings.DATABASES['default']['OPTIONS']['pool']['max_size']",
        ENV_FILE=str(BASE_DIR / ".env.example"),
    )

    assert read.stderr == ""
    assert read.stdout == "True 8\n"
