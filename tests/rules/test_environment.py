"""The process reads its environment, or stops with one sentence that names the variable."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from django.http.request import split_domain_port, validate_host

from articles.management.commands.demo_data import PASSWORD_VARIABLE
from config.environment.hosts import is_host, is_origin
from config.environment.reader import Env
from config.settings import BASE_DIR
from tests.processes import run, run_forked

# A program that prints, for each variable, the method of Env that reads it and its default.
RECORD_DEFAULTS = """
import inspect, json
from config.environment.reader import Env

asked = {}

def noted(reader):
    def note(*arguments, **options):
        call = inspect.signature(reader).bind(*arguments, **options)
        call.apply_defaults()
        default = call.arguments.get("default", "")
        # Some readers call others: keep the first one, which the settings called.
        asked.setdefault(call.arguments["name"], (reader.__name__, default))
        return reader(*arguments, **options)
    return note

for name, reader in inspect.getmembers(Env, inspect.isfunction):
    if not name.startswith("_") and name != "refuse":
        setattr(Env, name, noted(reader))

from config import settings
print(json.dumps(asked))
"""
# Their defaults depend on the machine or on other variables.
COMPUTED = {
    "SERVER_WORKERS",
    "PASSWORD_MAX_WAITING",
    "SERVER_MAX_BODIES",
    "DATABASE_SSLMODE",
}
UNITS = {"seconds": " s", "milliseconds": " ms"}

PRODUCTION = {"DATABASE_URL": "postgresql://conduit:hidden@127.0.0.1:1/conduit"}


def read_settings(expression: str = "", **variables: str) -> CompletedProcess[str]:
    return run_forked("-c", f"from config import settings; print({expression})", **variables)


def test_a_production_environment_is_enough() -> None:
    process = run("-c", "from config import settings; print(settings.DEBUG)", **PRODUCTION)

    assert process.stdout == "False\n"


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
        *(
            (
                {"TOKEN_LIFETIME": value},
                "TOKEN_LIFETIME must be a number of seconds from 1 to 315360000,"
                f" and is '{value}'.",
            )
            for value in ("a week", "nan", "0", "1e12")
        ),
        (
            {"STAFF_SECOND_FACTOR": "always"},
            "STAFF_SECOND_FACTOR must be one of optional, required, and is 'always'.",
        ),
        ({"LOGIN_RATE": "often"}, "LOGIN_RATE must read like 600/minute, and is 'often'."),
        ({"FOLLOW_RATE": "0"}, "FOLLOW_RATE must read like 6000/minute, and is '0'."),
        *(
            (
                {"CACHE_URL": value},
                "CACHE_URL must be a URL like redis://host:6379/0, rediss://host:6379/0 or unix:///path.",
            )
            for value in (
                "localhost:6379",
                "memcached://:hidden@host",
                "redis://:hidden@host:x",
                "redis://:hidden@host?db=abc",
                "redis://:hidden@host?timeout=soon",
                "redis://:hidden@host?no_such_option=1",
                "redis://[::1",
            )
        ),
        (
            {"SERVER_WORKERS": "0"},
            "SERVER_WORKERS must be a whole number, 1 or more, and is '0'.",
        ),
        (
            {"SERVER_THREADS": "many"},
            "SERVER_THREADS must be a whole number, 1 or more, and is 'many'.",
        ),
        (
            {"SERVER_DRAIN_DELAY": "-1"},
            "SERVER_DRAIN_DELAY must be a number of seconds from 0 to 2147483, and is '-1'.",
        ),
        (
            {"SERVER_GRACE": "3600"},
            "SERVER_GRACE must be a number of seconds from 1 to 1800, and is '3600'.",
        ),
        (
            {"DATABASE_STARTUP_TIMEOUT": "-1"},
            "DATABASE_STARTUP_TIMEOUT must be a number of seconds from 0 to 2147483, and is '-1'.",
        ),
        ({"METRICS_TOKEN": "short"}, "METRICS_TOKEN is too short: it needs 8 bytes or more."),
        (
            {"DATABASE_POOL_MIN": "9"},
            "DATABASE_POOL_MIN (9) is larger than DATABASE_POOL_MAX (8).",
        ),
    ],
)
def test_an_invalid_value_stops_the_process_with_a_sentence(
    environment: dict[str, str], sentence: str
) -> None:
    stopped = read_settings(**PRODUCTION | environment)

    assert stopped.returncode == 78
    assert stopped.stderr == f"{sentence}\n"


@pytest.mark.parametrize("secret", ["$ECRET" * 8, "$" * 32, "$PATH" * 8, r"\$ECRET\\$" * 4])
def test_a_dollar_sign_in_a_secret_has_no_meaning(
    monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    monkeypatch.setenv("SECRET_KEY", secret)

    assert Env(Path(os.devnull)).secret("SECRET_KEY", 32) == secret


def test_a_file_adds_variables_and_the_environment_overrides_it(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("DEBUG=on\nALLOWED_HOSTS=one.example,two.example\nTOKEN_LIFETIME=60\n")

    read = read_settings(
        "settings.DEBUG, settings.ALLOWED_HOSTS, settings.TOKEN_LIFETIME.seconds",
        **PRODUCTION,
        ENV_FILE=str(file),
        TOKEN_LIFETIME="30",
    )

    assert read.stdout == "True ['one.example', 'two.example'] 30\n"


def test_plain_http_works_unless_https_is_on() -> None:
    names = ("SECURE_SSL_REDIRECT", "SESSION_COOKIE_SECURE", "SECURE_HSTS_SECONDS")
    expression = ", ".join(f"settings.{name}" for name in names)

    assert read_settings(expression, **PRODUCTION).stdout == "False False 0\n"
    assert read_settings(expression, **PRODUCTION, HTTPS="on").stdout == "True True 31536000\n"


@pytest.mark.parametrize("scope", ["article", "comment", "favorite", "follow"])
def test_a_rate_of_writes_can_be_turned_off(scope: str) -> None:
    expression = f"settings.REST_FRAMEWORK['DEFAULT_THROTTLE_RATES']['{scope}']"

    assert read_settings(expression, **PRODUCTION).stdout == "6000/minute\n"
    off = {f"{scope.upper()}_RATE": ""}
    assert read_settings(expression, **PRODUCTION, **off).stdout == "None\n"


def test_the_default_number_of_workers_depends_on_the_cpus() -> None:
    workers = read_settings("settings.SERVER_WORKERS", **PRODUCTION).stdout

    assert 1 <= int(workers) <= (os.cpu_count() or 1)


@pytest.fixture(scope="module")
def defaults() -> dict[str, tuple[str, str]]:
    """Every variable that the code reads, with its default as text and its unit."""
    asked = run("-c", RECORD_DEFAULTS, **PRODUCTION)
    assert asked.stderr == ""
    found = {PASSWORD_VARIABLE: ("", "")}
    for name, (reader, default) in json.loads(asked.stdout).items():
        words = {True: "on", False: "off"}[default] if reader == "switch" else default
        text = ",".join(words) if isinstance(words, list) else str(words)
        found[name] = ("" if name in COMPUTED else text, UNITS.get(reader, ""))
    return found


def test_the_example_file_holds_every_variable_with_its_default(
    defaults: dict[str, tuple[str, str]],
) -> None:
    lines = (BASE_DIR / ".env.example").read_text().splitlines()
    example = [line.split("=", 1) for line in lines if line and not line.startswith("#")]

    expected = {name: default for name, (default, _) in defaults.items()}
    assert expected.pop("DEBUG") == "off"  # .env.example is for development, where it is on
    assert ["DEBUG", "on"] in example
    assert len(example) == len(defaults)
    assert dict(pair for pair in example if pair[0] != "DEBUG") == expected


def test_every_variable_is_in_one_table_of_the_documentation_with_its_default(
    defaults: dict[str, tuple[str, str]],
) -> None:
    pages = [BASE_DIR / "README.md", *sorted((BASE_DIR / "docs").glob("*.md"))]
    shown = [
        row
        for page in pages
        # A row of three columns: variable, default, meaning.
        for row in re.findall(r"(?m)^\| `([A-Z_]+)` \| ([^|]+) \| [^|]+ \|$", page.read_text())
    ]

    expected = {
        name: "computed" if name in COMPUTED else f"{default or 'none'}{unit}"
        for name, (default, unit) in defaults.items()
    }
    assert len(shown) == len(expected)
    assert dict(shown) == expected


def test_the_example_file_can_be_used_as_it_is(tmp_path: Path) -> None:
    read = read_settings(
        "settings.DEBUG, settings.DATABASES['default']['OPTIONS']['pool']['max_size']",
        ENV_FILE=str(BASE_DIR / ".env.example"),
    )

    assert read.stderr == ""
    assert read.stdout == "True 8\n"


@pytest.mark.parametrize(
    "origin",
    [
        "https://*.example.com",
        "*",
        "https://Example.com",
        "HTTPS://example.com",
        "https://example.com:443",
        "http://example.com:80",
        "https://example.com/",
        "https://example.com/app",
        "https://example.com?a",
        "https://example.com#a",
        "https://me@example.com",
        "https://example.com:",
        "https://example.com:0",
        "https://example.com:08080",
        "https://example.com:65536",
        "https://bücher.example",
        "https://exam ple.com",
        "https://[::0001]",
        "https://[::1",
        "https://[:]",
        "https://127.1",
        "https://",
        "example.com",
        "localhost:3000",
        "//example.com",
        "Null",
        "capacitor://localhost/",
        "chrome-extension://*",
    ],
)
def test_an_origin_that_no_browser_sends_is_refused(origin: str) -> None:
    assert not is_origin(origin)


@pytest.mark.parametrize(
    "origin",
    [
        "https://example.com",
        "https://example.com.",
        "http://example.com:443",
        "https://example.com:80",
        "http://localhost:3000",
        "http://127.0.0.1:65535",
        "https://[::1]:8443",
        "https://xn--bcher-kva.example",
        "https://my_host.example",
        "https://1.example",
        "null",
        "file://",
        "capacitor://localhost",
        "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
    ],
)
def test_an_origin_that_a_browser_may_send_is_accepted(origin: str) -> None:
    assert is_origin(origin)


@pytest.mark.parametrize(
    "host",
    [
        "https://example.com",
        "example.com:8000",
        "127.0.0.1:8000",
        "[::1]:8000",
        "example.com/",
        "*.example.com",
        "**",
        "bücher.example",
        "my_host",
        "::1",
        "example.com.",
        "..example.com",
        ".",
        "exam ple.com",
    ],
)
def test_a_host_that_django_never_matches_is_refused(host: str) -> None:
    assert not is_host(host)


@pytest.mark.parametrize(
    "host", ["*", "example.com", "Example.COM", ".example.com", "localhost", "127.0.0.1", "[::1]"]
)
def test_a_host_that_django_matches_is_accepted(host: str) -> None:
    assert is_host(host)
    sent = {"*": "anything.example", ".example.com": "www.example.com"}.get(host, host)
    domain, _ = split_domain_port(sent)
    assert validate_host(domain, [host])


def test_an_address_that_never_matches_stops_the_process_with_its_name() -> None:
    hosts = read_settings(**PRODUCTION, ALLOWED_HOSTS="example.com,https://www.example.com")
    origins = read_settings(**PRODUCTION, CORS_ALLOWED_ORIGINS="https://a.example,https://*.b")

    assert (hosts.returncode, origins.returncode) == (78, 78)
    assert hosts.stderr.startswith("ALLOWED_HOSTS has 'https://www.example.com', which matches")
    assert origins.stderr.startswith("CORS_ALLOWED_ORIGINS has 'https://*.b', which no browser")


def test_an_extra_comma_is_ignored() -> None:
    read = read_settings(
        "settings.ALLOWED_HOSTS, settings.CORS_ALLOWED_ORIGINS",
        **PRODUCTION,
        ALLOWED_HOSTS="a.example, ,b.example,",
        CORS_ALLOWED_ORIGINS=" ,",
    )

    assert read.stdout == "['a.example', 'b.example'] []\n"


SECRET = "hidden-hidden-hidden-hidden-hidden-hidden"
PEM_LINE = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7"


@pytest.mark.parametrize(
    ("content", "where", "why"),
    [
        (f"SECRET_KEY: {SECRET}", "Line 1 (SECRET_KEY)", "must read NAME=value"),
        (
            f"# The database\n\nDATABASE_URL = postgresql://me:{SECRET}@db/conduit",
            "Line 3 (DATABASE_URL)",
            "must read NAME=value",
        ),
        (f"DEBUG=on\n  SECRET_KEY={SECRET}", "Line 2 (SECRET_KEY)", "must read NAME=value"),
        (f"\tSECRET_KEY={SECRET}", "Line 1 (SECRET_KEY)", "must read NAME=value"),
        (f"export  SECRET_KEY={SECRET}", "Line 1 (SECRET_KEY)", "must read NAME=value"),
        (f"POSTGRES_PASSWORD: {SECRET}", "Line 1 (POSTGRES_PASSWORD)", "must read NAME=value"),
        (f"DEBUG=on\r\nMY_SECRET: {SECRET}\r\n", "Line 2", "must read NAME=value"),
        (f"-----BEGIN PRIVATE KEY-----\n{PEM_LINE}", "Line 1", "must read NAME=value"),
        (f"DEBUG=on\n{PEM_LINE}", "Line 2", "must read NAME=value"),
        (f"{PEM_LINE}: {SECRET}", "Line 1", "must read NAME=value"),
        (f"=={SECRET}", "Line 1", "must read NAME=value"),
        (f"\ufeffSECRET_KEY={SECRET}", "Line 1 (SECRET_KEY)", "starts with a byte order mark"),
        (f"\ufeff# A comment\nSECRET_KEY={SECRET}", "Line 1", "starts with a byte order mark"),
        (
            f'SECRET_KEY="-----BEGIN\n{SECRET}=1\n"',
            "Line 1 (SECRET_KEY)",
            "has a quote that is not closed on the same line",
        ),
        *(
            (line, "Line 1 (SECRET_KEY)", "has text after the closing quote")
            for line in (
                f"SECRET_KEY='{SECRET}' # mine",
                f'SECRET_KEY="{SECRET}" # mine',
                f"SECRET_KEY='{SECRET}'#mine",
                f"SECRET_KEY='{SECRET}' ",
                f"SECRET_KEY='{SECRET}' # it's mine",
            )
        ),
        *(
            (
                f"SECRET_KEY={SECRET}{character}{SECRET}",
                "Line 1 (SECRET_KEY)",
                "contains a control character",
            )
            for character in ("\0", "\f", "\x1c", "\x85", "\u2028")
        ),
        (f"# {SECRET}\u2028DEBUG=on", "Line 1", "contains a control character"),
        (f"SECRET_KEY={SECRET}".encode("utf-16"), "", "is not UTF-8"),
        (f"DEBUG=on\nSECRET_KEY={SECRET}ä".encode("latin-1"), "", "is not UTF-8"),
    ],
    ids=ascii,
)
def test_an_invalid_line_stops_the_process(
    tmp_path: Path, content: str | bytes, where: str, why: str
) -> None:
    file = tmp_path / "env"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())

    stopped = read_settings("settings.DATABASES", ENV_FILE=str(file))

    number, _, name = where.partition(" (")
    place = f"{number} of {file}" + (f" ({name}" if name else "") if where else str(file)
    assert stopped.returncode == 78
    assert stopped.stdout == ""
    assert stopped.stderr.startswith(f"{place} {why}")
    assert stopped.stderr.count("\n") == 1
    assert "hidden" not in stopped.stderr
    assert PEM_LINE not in stopped.stderr


def test_every_valid_line_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = {
        "": {},
        "   ": {},
        "\t": {},
        "# SECRET_KEY: in a comment": {},
        "  # SECRET_KEY=in an indented comment": {},
        "\t# SECRET_KEY=in an indented comment": {},
        "PLAIN=a=b #c": {"PLAIN": "a=b #c"},
        "EMPTY=": {"EMPTY": ""},
        "export EXPORTED=1": {"EXPORTED": "1"},
        "SINGLE='a \"b\" \\n $c'": {"SINGLE": 'a "b" \\n $c'},
        'DOUBLE="a \'b\' \\" #c"': {"DOUBLE": "a 'b' \" #c"},
        "UNICODE=ключ\t日本": {"UNICODE": "ключ\t日本"},
        "lower_1=x": {"lower_1": "x"},
    }
    file = tmp_path / "env"
    expected = {name: value for pair in lines.values() for name, value in pair.items()}
    for name in expected:
        monkeypatch.delenv(name, raising=False)
    for end in ("\n", "\r\n", "\r"):
        file.write_bytes(end.join(lines).encode())

        Env(file)

        assert {name: os.environ[name] for name in expected} == expected
        for name in expected:
            monkeypatch.delenv(name)


def test_the_file_in_env_file_must_exist(tmp_path: Path) -> None:
    for file, why in (
        (tmp_path / "missing", "No such file or directory"),
        (tmp_path, "Is a directory"),
    ):
        stopped = read_settings(**PRODUCTION | {"ENV_FILE": str(file)})

        assert stopped.returncode == 78
        assert stopped.stderr == f"ENV_FILE names {file}, which can't be read: {why}.\n"


def test_the_default_file_may_be_missing(tmp_path: Path) -> None:
    assert Env(tmp_path / ".env").text("NOTHING_SETS_THIS") == ""


@pytest.mark.parametrize("python", [sys.executable, ""], ids=["found", "too old for the server"])
def test_the_file_that_make_writes_is_valid(tmp_path: Path, python: str) -> None:
    shutil.copy(BASE_DIR / "Makefile", tmp_path)
    shutil.copy(BASE_DIR / ".env.example", tmp_path)
    make = ["make", f"PYTHON={python}", ".env"]
    subprocess.run(make, cwd=tmp_path, check=True, capture_output=True)  # noqa: S603 -- our own file

    read = read_settings(
        "len(settings.os.environ['CONDUIT_PASSWORD'])", ENV_FILE=str(tmp_path / ".env")
    )

    assert (read.stdout, read.stderr) == ("64\n", "")
