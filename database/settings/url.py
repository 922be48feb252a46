"""From `DATABASE_URL` and `DATABASE_*` to the entry of Django's `DATABASES`.

Every variable is read whatever the others say, so that a mistake in one shows at once.
"""

import math
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import dj_database_url
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from database.settings.environment import EmbeddedServer, Environment
from database.settings.limits import Limits
from database.settings.tls import set_tls

BACKEND = "database.backend"
MODES = ("pool", "persistent", "per-request")
# Django has its own names for some of what libpq takes.
DJANGO_NAMES = {
    "NAME": "dbname",
    "USER": "user",
    "PASSWORD": "password",
    "HOST": "host",
    "PORT": "port",
}
# One "@" at the most, and nothing before it that would end a host: of a password with a
# bare "/", libpq takes one half for a port and the other for a database, and prints them.
_URL = re.compile(r"(?P<before>postgres(ql)?://([^@/?#]*@)?)(?P<hosts>[^@/?]*)(?P<after>[^@]*)")
# PostgreSQL and libpq count milliseconds, and take 0 for "for ever".
_SHORTEST = 0.001  # seconds
_PORTS = range(1, 65_536)


def database(
    env: Environment,
    name: str,
    *,
    debug: bool,
    embedded: EmbeddedServer | None,
    threads: int | None,
) -> dict[str, Any]:
    """The `DATABASES` entry that the environment asks for.

    PostgreSQL shows `name` as the application_name of each session.

    `embedded` is used while `DATABASE_URL` is not set; None where there is none. Unless `debug` is
    on, a host that is not this machine must use TLS. `threads` is how many threads of this process
    may want a connection at once. None if that is unknown: then 1 request may wait while the pool
    is stalled.
    """
    entry = _address(env, embedded, debug=debug)
    limits = _limits(env)
    set_tls(entry, env, debug=debug)
    _set_password_file(entry, env)
    _set_mode(entry, env, limits.acquire_timeout, threads)
    _set_socket_bounds(entry["OPTIONS"], env, name)
    _set_session_bounds(entry, env, limits.hard_deadline)
    entry["OPTIONS"]["limits"] = limits
    return entry


def _address(env: Environment, embedded: EmbeddedServer | None, *, debug: bool) -> dict[str, Any]:
    url = env.text("DATABASE_URL").strip()
    if url:
        return _parsed(env, url)
    if embedded is None:
        reason = "is not installed" if debug else "needs DEBUG=on"
        env.refuse("DATABASE_URL", f"is not set, and the embedded PostgreSQL {reason}")
    # The backend starts the server, and fills in the host, at the first connection.
    return {
        "ENGINE": BACKEND,
        "NAME": embedded.name,
        "USER": embedded.name,
        "PASSWORD": "",
        "HOST": "",
        "PORT": embedded.port,
        "OPTIONS": {"embedded": embedded},
    }


def _parsed(env: Environment, url: str) -> dict[str, Any]:
    """libpq's own parser says whether it is a URL, knows the options, and takes several
    hosts, over which dj-database-url stumbles: it makes the entry of the rest. No message
    shows the URL, or a part of it: it carries the password."""
    parts = _URL.fullmatch(url)
    try:
        params = conninfo_to_dict(_encoded(url)) if parts else {}
    except (ProgrammingError, UnicodeError):
        params = {}
    if not parts or not params.get("dbname"):
        env.refuse(
            "DATABASE_URL",
            "must read postgresql://user:password@host:port/name?option=value, with options"
            " of libpq's alone, and special characters percent-encoded",
        )
    entry: dict[str, Any] = dict(
        dj_database_url.parse(parts["before"] + parts["after"], engine=BACKEND)
    )
    # libpq takes what Django has names for as options too, sockets above all: ?host=/tmp
    entry |= {key: str(params.pop(name, "") or "") for key, name in DJANGO_NAMES.items()}
    entry["PORT"] = _ports(env, entry["PORT"], entry["HOST"] or str(params.get("hostaddr", "")))
    entry["OPTIONS"] = {name: str(value) for name, value in params.items() if value}
    return entry


def _encoded(url: str) -> str:
    """libpq stumbles over a bare "=" in a value, and takes "+" for a plus."""
    address, _, query = url.partition("?")
    return f"{address}?{urlencode(parse_qsl(query, keep_blank_values=True), quote_via=quote)}"


def _ports(env: Environment, text: str, hosts: str) -> str:
    """One port for all hosts, one for each, or none at all."""
    ports = text.split(",")
    if len(ports) not in (1, len(hosts.split(","))):
        env.refuse("DATABASE_URL", "has not as many ports as hosts")
    if not all(re.fullmatch("[0-9]{0,5}", port) and int(port or 1) in _PORTS for port in ports):
        env.refuse("DATABASE_URL", "has a port that is no number from 1 to 65535")
    return ",".join(port or "5432" for port in ports) if any(ports) else ""


def _limits(env: Environment) -> Limits:
    acquire = env.seconds("DATABASE_ACQUIRE_TIMEOUT", 5, minimum=_SHORTEST)
    # What nobody has set contradicts nothing: it gives way.
    ping = env.seconds("DATABASE_PING_TIMEOUT", min(1, acquire), minimum=_SHORTEST)
    if ping > acquire:
        env.refuse(
            "DATABASE_PING_TIMEOUT",
            f"({ping:g}) is larger than DATABASE_ACQUIRE_TIMEOUT ({acquire:g})",
        )
    return Limits(
        acquire_timeout=acquire,
        ping_timeout=ping,
        hard_deadline=env.seconds("DATABASE_HARD_DEADLINE", 15, minimum=_SHORTEST),
        leak_warning=env.seconds("DATABASE_LEAK_WARNING", 10, minimum=_SHORTEST),
        slow_query=env.milliseconds("DATABASE_SLOW_QUERY", 200) / 1000,
    )


def _set_password_file(entry: dict[str, Any], env: Environment) -> None:
    name = env.text("DATABASE_PASSWORD_FILE")
    if not name:
        return
    if entry["PASSWORD"]:
        env.refuse("DATABASE_PASSWORD_FILE", "is set, and so is a password in DATABASE_URL")
    # Not resolve(): Kubernetes writes a new password by turning a symbolic link round.
    file = Path(name).absolute()
    try:
        password = file.read_bytes().strip()
    except OSError as error:
        # Without the name, which is the password when somebody took one for the other.
        env.refuse("DATABASE_PASSWORD_FILE", f"can't be read: {error.strerror}")
    if not password:
        env.refuse("DATABASE_PASSWORD_FILE", "is empty")
    entry["OPTIONS"]["password_file"] = file


def _set_mode(
    entry: dict[str, Any], env: Environment, acquire_timeout: float, threads: int | None
) -> None:
    """One name for two settings, so that the pair which Django refuses can't be written."""
    mode = env.choice("DATABASE_CONNECTIONS", MODES, "pool")
    lifetime = env.seconds("DATABASE_MAX_LIFETIME", 1800, minimum=1)
    largest = env.count("DATABASE_POOL_MAX", 8, minimum=1)
    smallest = env.count("DATABASE_POOL_MIN", min(2, largest))
    if smallest > largest:
        env.refuse(
            "DATABASE_POOL_MIN", f"({smallest}) is larger than DATABASE_POOL_MAX ({largest})"
        )
    pool = {
        "min_size": smallest,
        "max_size": largest,
        "timeout": acquire_timeout,
        "max_lifetime": lifetime,
        "max_idle": env.seconds("DATABASE_MAX_IDLE", 600, minimum=1),
        # While the pool is stalled, two threads stay free to refuse requests.
        "max_waiting_when_stalled": max(1, (threads or 0) - largest - 2),
    }
    if env.text("DATABASE_MAX_WAITING"):
        # Never 0, which psycopg_pool takes for a queue without end.
        pool["max_waiting"] = env.count("DATABASE_MAX_WAITING", 1, minimum=1)
        del pool["max_waiting_when_stalled"]
    entry["CONN_MAX_AGE"] = lifetime if mode == "persistent" else 0
    entry["CONN_HEALTH_CHECKS"] = mode != "per-request"
    if mode == "pool":
        entry["OPTIONS"]["pool"] = pool


def _set_socket_bounds(options: dict[str, Any], env: Environment, name: str) -> None:
    """What this end of a connection keeps to itself: nothing of it is sent to the server
    but the application's name, which PgBouncer takes too."""
    connect = env.seconds("DATABASE_CONNECT_TIMEOUT", 3, minimum=_SHORTEST)
    # psycopg cuts fractions off, waits 2 s at the least, and 130 s for 0. It counts for
    # each address anew (timeout_from_conninfo and Connection.connect in psycopg 3.3).
    options.setdefault("connect_timeout", max(2, math.ceil(connect)))
    user_timeout = env.milliseconds("DATABASE_TCP_USER_TIMEOUT", 3000, minimum=1)
    options.setdefault("tcp_user_timeout", user_timeout)
    # It counts for data that the other end has not confirmed. Whoever only waits for an answer
    # has sent none: what notices then that the network is gone is a probe of the kernel's. Both
    # in seconds: the first just before the time-out, so that the two end at the same moment.
    options.setdefault("keepalives_idle", max(1, user_timeout // 1000 - 1))
    options.setdefault("keepalives_interval", 1)
    options.setdefault("application_name", name)


def _set_session_bounds(entry: dict[str, Any], env: Environment, hard_deadline: float) -> None:
    """Time zone and time-outs as startup options, which stay in force where `DISCARD ALL`
    undoes a SET; behind PgBouncer, which takes none, the role has to have them."""
    statement = env.seconds("DATABASE_STATEMENT_TIMEOUT", 10, minimum=_SHORTEST)
    idle = env.seconds("DATABASE_IDLE_TRANSACTION_TIMEOUT", 10, minimum=_SHORTEST)
    if hard_deadline <= statement:
        env.refuse(
            "DATABASE_HARD_DEADLINE",
            f"({hard_deadline:g}) is not larger than DATABASE_STATEMENT_TIMEOUT ({statement:g})",
        )
    options = entry["OPTIONS"]
    pgbouncer = env.switch("DATABASE_PGBOUNCER", default=False)
    entry["DISABLE_SERVER_SIDE_CURSORS"] = pgbouncer
    if pgbouncer:
        if "options" in options:
            env.refuse("DATABASE_URL", "has startup options, which DATABASE_PGBOUNCER rules out")
        options["pgbouncer"] = True
        return
    # Of two that set the same, PostgreSQL takes the last.
    options["options"] = " ".join(
        [
            f"-c statement_timeout={round(statement * 1000)}",
            f"-c idle_in_transaction_session_timeout={round(idle * 1000)}",
            # Milliseconds: a statement whose client is gone, or was cut off, ends so soon.
            "-c client_connection_check_interval=1000",
            *([options["options"]] if "options" in options else []),
            "-c TimeZone=UTC",
        ]
    )
