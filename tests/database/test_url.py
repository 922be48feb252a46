"""The variables DATABASE_* become Django's DATABASES entry, or a sentence that refuses them."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from psycopg.conninfo import timeout_from_conninfo

from config.environment.reader import Env
from database.embedded import EmbeddedServer
from database.settings.limits import Limits
from database.settings.url import database
from tests.processes import database_url, free_port, run, run_forked

URL = "postgresql://alice:hidden@127.0.0.1/conduit"
ELSEWHERE = "postgresql://alice:hidden@db.example/conduit"
BOUNDS = (
    "-c statement_timeout=10000 -c idle_in_transaction_session_timeout=10000"
    " -c client_connection_check_interval=1000 -c random_page_cost=1.1"
)

Entry = Callable[..., dict[str, Any]]

# Prints the settings that the startup options set, before and after DISCARD ALL.
SHOW_SETTINGS = """
import django; django.setup()
from django.db import connection

for wipe in ("SELECT 1", "DISCARD ALL"):
    with connection.cursor() as cursor:
        cursor.execute(wipe)
        for name in ("TimeZone", "statement_timeout", "idle_in_transaction_session_timeout"):
            cursor.execute(f"SHOW {name}")
            print(cursor.fetchone()[0])
"""


@pytest.fixture
def entry(monkeypatch: pytest.MonkeyPatch) -> Entry:
    """The entry that these variables make, by default for a production server with 16 threads."""
    for name in ("PGHOST", "PGHOSTADDR"):
        monkeypatch.delenv(name, raising=False)

    def made(
        *,
        debug: bool = False,
        embedded: EmbeddedServer | None = None,
        threads: int | None = 16,
        **variables: str,
    ) -> dict[str, Any]:
        for name, value in ({"DATABASE_URL": URL} | variables).items():
            monkeypatch.setenv(name, value)
        return database(
            Env(Path(os.devnull)), "conduit", debug=debug, embedded=embedded, threads=threads
        )

    return made


def test_a_url_is_enough(entry: Entry) -> None:
    assert entry() == {
        "ENGINE": "database.backend",
        "NAME": "conduit",
        "USER": "alice",
        "PASSWORD": "hidden",
        "HOST": "127.0.0.1",
        "PORT": "",
        "CONN_MAX_AGE": 0,
        "CONN_HEALTH_CHECKS": True,
        "DISABLE_SERVER_SIDE_CURSORS": False,
        "OPTIONS": {
            "connect_timeout": 3,
            "tcp_user_timeout": 3000,
            "keepalives_idle": 2,
            "keepalives_interval": 1,
            "application_name": "conduit",
            "options": f"{BOUNDS} -c TimeZone=UTC",
            "pool": {
                "min_size": 2,
                "max_size": 8,
                "timeout": 5,
                "max_lifetime": 1800,
                "max_idle": 600,
                "max_waiting_when_stalled": 6,
            },
            "limits": Limits(
                acquire_timeout=5,
                ping_timeout=1,
                hard_deadline=15,
                leak_warning=10,
                slow_query=0.2,
            ),
            "prepared_max": 50,
        },
    }


def test_every_limit_can_be_set_in_the_environment(entry: Entry) -> None:
    options = entry(
        DATABASE_POOL_MIN="0",
        DATABASE_POOL_MAX="5",
        DATABASE_ACQUIRE_TIMEOUT="0.75",
        DATABASE_MAX_WAITING="40",
        DATABASE_MAX_LIFETIME="60",
        DATABASE_MAX_IDLE="30",
        DATABASE_PING_TIMEOUT="0.5",
        DATABASE_TCP_USER_TIMEOUT="1500",
        DATABASE_STATEMENT_TIMEOUT="2.5",
        DATABASE_IDLE_TRANSACTION_TIMEOUT="0.001",
        DATABASE_HARD_DEADLINE="4",
        DATABASE_LEAK_WARNING="3",
        DATABASE_SLOW_QUERY="50",
        DATABASE_PREPARED_MAX="1",
    )["OPTIONS"]

    assert options["pool"] == {
        "min_size": 0,
        "max_size": 5,
        "timeout": 0.75,
        "max_waiting": 40,
        "max_lifetime": 60,
        "max_idle": 30,
    }
    assert options["limits"] == Limits(0.75, 0.5, 4, 3, 0.05)
    assert options["prepared_max"] == 1
    assert options["tcp_user_timeout"] == 1500
    assert options["options"].startswith(
        "-c statement_timeout=2500 -c idle_in_transaction_session_timeout=1 "
    )


def test_without_a_url_the_embedded_server_is_used(entry: Entry, tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path, "conduit")
    made = entry(debug=True, embedded=server, DATABASE_URL="")

    assert (made["HOST"], made["NAME"], made["USER"]) == ("", "conduit", "conduit")
    assert made["OPTIONS"]["embedded"] == server


@pytest.mark.parametrize(
    ("mode", "age", "checks"), [("persistent", 60, True), ("per-request", 0, False)]
)
def test_without_a_pool_max_lifetime_sets_conn_max_age(
    entry: Entry, mode: str, age: int, checks: bool
) -> None:
    made = entry(DATABASE_CONNECTIONS=mode, DATABASE_MAX_LIFETIME="60")

    assert made["CONN_MAX_AGE"] == age
    assert made["CONN_HEALTH_CHECKS"] is checks
    assert "pool" not in made["OPTIONS"]


@pytest.mark.parametrize(
    ("threads", "largest", "waiting"),
    [(32, 8, 22), (16, 8, 6), (11, 8, 1), (4, 8, 1), (None, 1, 1)],
)
def test_the_queue_of_a_stalled_pool_leaves_two_threads_free(
    entry: Entry, threads: int | None, largest: int, waiting: int
) -> None:
    made = entry(threads=threads, DATABASE_POOL_MAX=str(largest))

    assert made["OPTIONS"]["pool"]["max_waiting_when_stalled"] == waiting
    assert "max_waiting" not in made["OPTIONS"]["pool"]


def test_only_serve_says_how_many_threads_there_are() -> None:
    waiting = "settings.DATABASES['default']['OPTIONS']['pool']['max_waiting_when_stalled']"
    program = f"from django.conf import settings; print({waiting}, settings.ACCESS_LOG)"
    variables = {"DATABASE_URL": URL, "DATABASE_POOL_MAX": "1", "SERVER_THREADS": "24"}
    server = {"DJANGO_SETTINGS_MODULE": "config.settings"} | variables

    command = run("manage.py", "shell", "--no-imports", "-c", program, **variables)
    other_server = run_forked("-c", program, **server)
    serve = run_forked("-c", program, **server, SERVING_THREADS="24")

    assert command.stdout == other_server.stdout == "1 False\n"
    assert serve.stdout == "21 True\n"


def test_a_default_is_lowered_to_a_smaller_setting(entry: Entry) -> None:
    options = entry(DATABASE_ACQUIRE_TIMEOUT="0.5", DATABASE_POOL_MAX="1")["OPTIONS"]

    assert options["limits"].ping_timeout == 0.5
    assert options["pool"]["min_size"] == 1


@pytest.mark.parametrize(
    ("seconds", "counted"), [("0.5", 2), ("1", 2), ("2", 2), ("2.5", 3), ("30", 30)]
)
def test_the_connect_timeout_is_rounded_like_psycopg_does(
    entry: Entry, seconds: str, counted: int
) -> None:
    options = entry(DATABASE_CONNECT_TIMEOUT=seconds)["OPTIONS"]

    assert options["connect_timeout"] == timeout_from_conninfo(options) == counted


@pytest.mark.parametrize(
    ("address", "hosts", "ports"),
    [
        ("h1", "h1", ""),
        ("h1:6432", "h1", "6432"),
        ("h1:5432,h2:5433", "h1,h2", "5432,5433"),
        ("h1,h2:5433", "h1,h2", "5432,5433"),
        ("h1,h2,h3", "h1,h2,h3", ""),
        ("[::1]:5433", "::1", "5433"),
        ("h1:1,[2001:db8::2]:2,[2001:db8::3]", "h1,2001:db8::2,2001:db8::3", "1,2,5432"),
        ("%2Fvar%2Frun%2FPostgreSQL:5433", "/var/run/PostgreSQL", "5433"),
        ("", "", ""),
    ],
)
def test_a_url_names_one_host_or_several(
    entry: Entry, address: str, hosts: str, ports: str
) -> None:
    made = entry(DATABASE_URL=f"postgresql://al%40ice:p%2Fw:%25@{address}/con%20duit")

    assert (made["HOST"], made["PORT"], made["NAME"]) == (hosts, ports, "con duit")
    assert (made["USER"], made["PASSWORD"]) == ("al@ice", "p/w:%")


def test_the_query_string_may_have_the_address(entry: Entry) -> None:
    made = entry(DATABASE_URL="postgres:///?host=/tmp/A,h2&port=1&user=u&password=0123&dbname=d")

    assert (made["HOST"], made["PORT"]) == ("/tmp/A,h2", "1")  # noqa: S108 -- a name alone
    assert (made["USER"], made["PASSWORD"], made["NAME"]) == ("u", "0123", "d")
    assert not made["OPTIONS"].keys() & {"host", "port", "user", "password", "dbname"}


def test_the_options_of_the_url_override_the_environment(entry: Entry) -> None:
    query = {
        "target_session_attrs": "read-write",
        "connect_timeout": "9",
        "tcp_user_timeout": "7",
        "application_name": "checked",
        "sslmode": "require",
        "keepalives": "1",
    }
    url = f"{ELSEWHERE}?{'&'.join('='.join(option) for option in query.items())}"

    options = entry(DATABASE_URL=url, DATABASE_SSLMODE="verify-ca")["OPTIONS"]

    assert query.items() <= options.items()


def test_the_second_host_is_used_when_the_first_is_down(db: None) -> None:
    params = connection.get_connection_params()
    hosts = f"127.0.0.1,{params.get('host', '')}"
    ports = f"{free_port()},{params.get('port', '5432')}"
    url = database_url(host=hosts, port=ports, target_session_attrs="read-write")

    process = run_forked(
        "-c", SHOW_SETTINGS, DJANGO_SETTINGS_MODULE="config.settings", DATABASE_URL=url
    )

    assert process.stderr == ""
    assert process.stdout.startswith("UTC\n")


@pytest.mark.parametrize(
    "url",
    [
        "mysql://root:hidden@127.0.0.1/conduit",
        "postgresql://conduit:hidden@127.0.0.1",
        "postgresql://conduit:hidden@127.0.0.1/",
        "conduit:hidden",
        "host=127.0.0.1 password=hidden dbname=conduit",
        "postgresql://conduit:%zzhidden@127.0.0.1/conduit",
        "postgresql://conduit:hid%00den@127.0.0.1/conduit",
        "postgresql://conduit:hidden\udcff@127.0.0.1/conduit",
        "postgresql://conduit:hidden@127.0.0.1/conduit?application_name=\udcff",
        "postgresql://conduit:hidden@127.0.0.1/conduit?pool=true",
        "postgresql://conduit:hidden@127.0.0.1/conduit?embedded=/tmp",
        # Passwords with a special character that is not percent-encoded.
        "postgresql://conduit:1/hidden@127.0.0.1/conduit",
        "postgresql://conduit:1?hidden@127.0.0.1/conduit",
        "postgresql://conduit:1#hidden@127.0.0.1/conduit",
        "postgresql://conduit:pass@hidden@127.0.0.1/conduit",
    ],
)
def test_an_invalid_url_is_refused_without_showing_its_password(
    entry: Entry, capsys: pytest.CaptureFixture[str], url: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        entry(DATABASE_URL=url)

    assert stopped.value.code == 78
    assert capsys.readouterr().err == (
        "DATABASE_URL must have the form postgresql://user:password@host:port/name?option=value,"
        " with percent-encoded special characters and no options but those of libpq.\n"
    )


@pytest.mark.parametrize(
    ("hosts", "production", "development"),
    [
        ("db.example", "verify-full", None),
        ("10.0.0.2", "verify-full", None),
        ("[2001:db8::2]", "verify-full", None),
        ("localhost,db.example", "verify-full", None),
        ("", None, None),
        ("localhost", None, None),
        ("LocalHost,127.0.0.1:5433,[::1]", None, None),
        ("%2Fvar%2Frun%2Fpostgresql", None, None),
        ("localhost.example", "verify-full", None),
    ],
)
def test_another_machine_needs_verify_full_in_production(
    entry: Entry, hosts: str, production: str | None, development: str | None
) -> None:
    url = f"postgresql://alice@{hosts}/conduit"

    assert entry(DATABASE_URL=url)["OPTIONS"].get("sslmode") == production
    debug = entry(debug=True, DATABASE_URL=url)
    assert debug["OPTIONS"].get("sslmode") == development


@pytest.mark.parametrize(
    ("url", "variable"),
    [
        ("postgresql://alice@localhost/conduit?hostaddr=10.0.0.2", ("PGHOSTADDR", "")),
        ("postgresql:///conduit", ("PGHOST", "db.example")),
        ("postgresql:///conduit", ("PGHOSTADDR", "10.0.0.2")),
    ],
)
def test_hostaddr_and_pg_variables_decide_whether_the_server_is_another_machine(
    entry: Entry, url: str, variable: tuple[str, str]
) -> None:
    made = entry(DATABASE_URL=url, **dict([variable]))

    assert made["OPTIONS"]["sslmode"] == "verify-full"


@pytest.mark.parametrize("mode", ["disable", "require", "verify-ca"])
def test_another_sslmode_can_be_set(entry: Entry, mode: str) -> None:
    by_variable = entry(DATABASE_URL=ELSEWHERE, DATABASE_SSLMODE=mode)
    by_url = entry(DATABASE_URL=f"{ELSEWHERE}?sslmode={mode}", DATABASE_SSLMODE="")

    assert by_variable["OPTIONS"]["sslmode"] == by_url["OPTIONS"]["sslmode"] == mode


def test_sslrootcert_is_a_file_or_system(entry: Entry, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.touch()

    for certificates in (str(file), "system"):
        options = entry(DATABASE_URL=ELSEWHERE, DATABASE_SSLROOTCERT=certificates)["OPTIONS"]
        assert options["sslrootcert"] == certificates
    url = f"{ELSEWHERE}?sslrootcert={file}"
    assert entry(DATABASE_URL=url)["OPTIONS"]["sslrootcert"] == str(file)


def test_startup_options_of_the_url_are_kept_but_the_time_zone_is_utc(entry: Entry) -> None:
    own = "-c statement_timeout=200 -c TimeZone=Europe/Berlin"
    for written in (own.replace(" ", "%20"), own.replace(" ", "+").replace("=", "%3D")):
        options = entry(DATABASE_URL=f"{URL}?options={written}")["OPTIONS"]

        assert options["options"] == f"{BOUNDS} {own} -c TimeZone=UTC"


def test_the_startup_options_hold_after_discard_all(db: None) -> None:
    """The last of two startup options for one setting counts; DISCARD ALL keeps both."""
    url = database_url(options="-c statement_timeout=200 -c TimeZone=Europe/Berlin")

    process = run_forked(
        "-c", SHOW_SETTINGS, DJANGO_SETTINGS_MODULE="config.settings", DATABASE_URL=url
    )

    assert process.stderr == ""
    assert process.stdout == "UTC\n200ms\n10s\n" * 2


def test_pgbouncer_gets_no_startup_options(entry: Entry) -> None:
    made = entry(DATABASE_PGBOUNCER="on")

    assert made["DISABLE_SERVER_SIDE_CURSORS"] is True
    assert made["OPTIONS"]["pgbouncer"] is True
    assert not made["OPTIONS"].keys() & {"options", "prepare_threshold"}


def test_the_password_file_is_an_absolute_path_with_symbolic_links_kept(
    entry: Entry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "first").write_text("hidden\n")
    (tmp_path / "password").symlink_to("first")
    monkeypatch.chdir(tmp_path)

    made = entry(
        DATABASE_URL="postgresql://alice@127.0.0.1/conduit", DATABASE_PASSWORD_FILE="password"
    )

    assert made["OPTIONS"]["password_file"] == tmp_path / "password"
    assert made["PASSWORD"] == ""


MODES = "disable, allow, prefer, require, verify-ca, verify-full"


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"DATABASE_POOL_MIN": "9"}, "DATABASE_POOL_MIN (9) is larger than DATABASE_POOL_MAX (8)"),
        (
            {"DATABASE_POOL_MAX": "0"},
            "DATABASE_POOL_MAX must be a whole number, 1 or more, and is '0'",
        ),
        (
            {"DATABASE_POOL_MIN": "1.5"},
            "DATABASE_POOL_MIN must be a whole number, 0 or more, and is '1.5'",
        ),
        (
            {"DATABASE_MAX_WAITING": "0"},
            "DATABASE_MAX_WAITING must be a whole number, 1 or more, and is '0'",
        ),
        (
            {"DATABASE_PREPARED_MAX": "0"},
            "DATABASE_PREPARED_MAX must be a whole number, 1 or more, and is '0'",
        ),
        (
            {"DATABASE_CONNECTIONS": "many"},
            "DATABASE_CONNECTIONS must be one of pool, persistent, per-request, and is 'many'",
        ),
        (
            {"DATABASE_PING_TIMEOUT": "5.5"},
            "DATABASE_PING_TIMEOUT (5.5) is larger than DATABASE_ACQUIRE_TIMEOUT (5)",
        ),
        (
            {"DATABASE_STATEMENT_TIMEOUT": "15"},
            "DATABASE_HARD_DEADLINE (15) is not larger than DATABASE_STATEMENT_TIMEOUT (15)",
        ),
        (
            {"DATABASE_HARD_DEADLINE": "1"},
            "DATABASE_HARD_DEADLINE (1) is not larger than DATABASE_STATEMENT_TIMEOUT (10)",
        ),
        *(
            (
                {name: value},
                f"{name} must be a number of seconds from 0.001 to 2147483, and is '{value}'",
            )
            for name, value in [
                ("DATABASE_ACQUIRE_TIMEOUT", "0"),
                ("DATABASE_PING_TIMEOUT", "-1"),
                ("DATABASE_CONNECT_TIMEOUT", "soon"),
                ("DATABASE_STATEMENT_TIMEOUT", "0"),
                ("DATABASE_IDLE_TRANSACTION_TIMEOUT", "2147484"),
                ("DATABASE_HARD_DEADLINE", "inf"),
                ("DATABASE_LEAK_WARNING", "nan"),
            ]
        ),
        (
            {"DATABASE_MAX_LIFETIME": "0.5"},
            "DATABASE_MAX_LIFETIME must be a number of seconds from 1 to 2147483, and is '0.5'",
        ),
        (
            {"DATABASE_MAX_IDLE": "1e12"},
            "DATABASE_MAX_IDLE must be a number of seconds from 1 to 2147483, and is '1e12'",
        ),
        (
            {"DATABASE_SLOW_QUERY": "0.2"},
            "DATABASE_SLOW_QUERY must be a whole number of milliseconds from 0 to 2147483647,"
            " and is '0.2'",
        ),
        (
            {"DATABASE_TCP_USER_TIMEOUT": "0"},
            "DATABASE_TCP_USER_TIMEOUT must be a whole number of milliseconds from 1 to"
            " 2147483647, and is '0'",
        ),
        ({"DATABASE_PGBOUNCER": "yep"}, "DATABASE_PGBOUNCER must be on or off, and is 'yep'"),
        (
            {"DATABASE_PGBOUNCER": "on", "DATABASE_URL": f"{URL}?options=-c%20geqo=off"},
            "DATABASE_URL has startup options, which DATABASE_PGBOUNCER=on does not allow",
        ),
        (
            {"DATABASE_SSLMODE": "verify"},
            f"DATABASE_SSLMODE must be one of {MODES}, and is 'verify'",
        ),
        (
            {"DATABASE_URL": f"{URL}?sslmode=verify"},
            f"DATABASE_URL has an unknown sslmode; use one of {MODES}",
        ),
        (
            {"DATABASE_SSLROOTCERT": "/no/such/file"},
            "DATABASE_SSLROOTCERT names a file that cannot be read: No such file or directory",
        ),
        (
            {"DATABASE_URL": f"{URL}?sslrootcert=/"},
            "DATABASE_URL names a file that cannot be read: Is a directory",
        ),
        (
            {"DATABASE_SSLROOTCERT": "system", "DATABASE_SSLMODE": "require"},
            "DATABASE_SSLROOTCERT is system, which requires the sslmode verify-full",
        ),
        (
            {"DATABASE_PASSWORD_FILE": "/etc/hostname"},
            "DATABASE_PASSWORD_FILE is set, but DATABASE_URL has a password too",
        ),
        (
            {"DATABASE_PASSWORD_FILE": "hidden", "DATABASE_URL": "postgresql://alice@/conduit"},
            "DATABASE_PASSWORD_FILE can't be read: No such file or directory",
        ),
        (
            {"DATABASE_PASSWORD_FILE": "/dev/null", "DATABASE_URL": "postgresql://alice@/conduit"},
            "DATABASE_PASSWORD_FILE is empty",
        ),
        (
            {"DATABASE_URL": "postgresql://alice:hidden@h1:99999/conduit"},
            "DATABASE_URL has a port that is not a number from 1 to 65535",
        ),
        (
            {"DATABASE_URL": "postgresql://alice:hidden@h1:0,h2:5432/conduit"},
            "DATABASE_URL has a port that is not a number from 1 to 65535",
        ),
        (
            {"DATABASE_URL": "postgresql:///conduit?host=h1,h2,h3&port=1,2"},
            "DATABASE_URL must have one port, or as many ports as hosts",
        ),
        (
            {"DATABASE_URL": ""},
            "DATABASE_URL is not set, and the embedded PostgreSQL needs DEBUG=on",
        ),
    ],
)
def test_an_invalid_value_is_refused_by_name(
    entry: Entry, capsys: pytest.CaptureFixture[str], variables: dict[str, str], sentence: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        entry(**variables)

    assert stopped.value.code == 78
    assert capsys.readouterr().err == f"{sentence}.\n"


def test_a_command_prints_only_the_sentence() -> None:
    process = run_forked("manage.py", "migrate", DATABASE_URL=URL, DATABASE_STATEMENT_TIMEOUT="60")

    assert process.returncode == 78
    assert process.stdout == ""
    assert process.stderr == (
        "DATABASE_HARD_DEADLINE (15) is not larger than DATABASE_STATEMENT_TIMEOUT (60).\n"
    )


def test_an_install_without_the_embedded_server_says_so(
    entry: Entry, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        entry(debug=True, DATABASE_URL="")

    assert capsys.readouterr().err == (
        "DATABASE_URL is not set, and the embedded PostgreSQL is not installed.\n"
    )
