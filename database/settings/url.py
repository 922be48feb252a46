"""Read the `DATABASES` entry from `DATABASE_URL` and `DATABASE_*`.

All variables are always read, so that an invalid value stops the process even while it is unused.
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
from database.settings.limits import PREPARED_MAX, Limits
from database.settings.tls import set_tls

BACKEND = "database.backend"
MODES = ("pool", "persistent", "per-request")
# Django's names of five of libpq's parameters.
DJANGO_NAMES = {
    "NAME": "dbname",
    "USER": "user",
    "PASSWORD": "password",
    "HOST": "host",
    "PORT": "port",
}
# At most one "@", and none of "/?#" before it: libpq would take a password with a bare "/" for a
# port and a database name, and print both in its error.
_URL = re.compile(r"(?P<before>postgres(ql)?://([^@/?#]*@)?)(?P<hosts>[^@/?]*)(?P<after>[^@]*)")
# PostgreSQL and libpq count in milliseconds, and 0 turns a timeout off.
_MIN_TIMEOUT = 0.001  # seconds
_PORTS = range(1, 65_536)


def database(
    env: Environment,
    name: str,
    *,
    debug: bool,
    embedded: EmbeddedServer | None,
    threads: int | None,
) -> dict[str, Any]:
    """The `DATABASES` entry that the environment defines.

    `name` becomes the application_name of each session. `embedded` is used if `DATABASE_URL` is not
    set. Unless `debug` is on, a host that is not this machine must use TLS. `threads` is the number
    of threads of this process that use connections; if it is None, 1 request may wait while the
    pool is stalled.
    """
    entry = _address(env, embedded, debug=debug)
    limits = _limits(env)
    set_tls(entry, env, debug=debug)
    _set_password_file(entry, env)
    _set_mode(entry, env, limits.acquire_timeout, threads)
    _set_socket_bounds(entry["OPTIONS"], env, name)
    _set_session_bounds(entry, env, limits.hard_deadline)
    _set_replicas(entry, env, name)
    entry["OPTIONS"]["limits"] = limits
    entry["OPTIONS"]["prepared_max"] = env.count("DATABASE_PREPARED_MAX", PREPARED_MAX, minimum=1)
    return entry


def _address(env: Environment, embedded: EmbeddedServer | None, *, debug: bool) -> dict[str, Any]:
    url = env.text("DATABASE_URL").strip()
    if url:
        return _parsed(env, url)
    if embedded is None:
        reason = "is not installed" if debug else "needs DEBUG=on"
        env.refuse("DATABASE_URL", f"is not set, and the embedded PostgreSQL {reason}")
    # The backend starts the server and sets the host at the first connection.
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
    """Parse hosts and options with libpq, because dj-database-url fails on several hosts.

    No message shows a part of the URL, because it contains the password.
    """
    parts = _URL.fullmatch(url)
    try:
        params = conninfo_to_dict(_encoded(url)) if parts else {}
    except (ProgrammingError, UnicodeError):
        params = {}
    if not parts or not params.get("dbname"):
        env.refuse(
            "DATABASE_URL",
            "must have the form postgresql://user:password@host:port/name?option=value, with"
            " percent-encoded special characters and no options but those of libpq",
        )
    entry: dict[str, Any] = dict(
        dj_database_url.parse(parts["before"] + parts["after"], engine=BACKEND)
    )
    # These parameters may also be options, for example a socket: ?host=/tmp
    entry |= {key: str(params.pop(name, "") or "") for key, name in DJANGO_NAMES.items()}
    entry["PORT"] = _ports(env, entry["PORT"], entry["HOST"] or str(params.get("hostaddr", "")))
    entry["OPTIONS"] = {name: str(value) for name, value in params.items() if value}
    return entry


def _encoded(url: str) -> str:
    """Encode the options for libpq, which rejects a bare "=" in a value and reads "+" literally."""
    address, _, query = url.partition("?")
    return f"{address}?{urlencode(parse_qsl(query, keep_blank_values=True), quote_via=quote)}"


def _ports(env: Environment, text: str, hosts: str) -> str:
    """One port for all hosts, or one for each host, or "" if there is none."""
    ports = text.split(",")
    if len(ports) not in (1, len(hosts.split(","))):
        env.refuse("DATABASE_URL", "must have one port, or as many ports as hosts")
    if not all(re.fullmatch("[0-9]{0,5}", port) and int(port or 1) in _PORTS for port in ports):
        env.refuse("DATABASE_URL", "has a port that is not a number from 1 to 65535")
    return ",".join(port or "5432" for port in ports) if any(ports) else ""


def _limits(env: Environment) -> Limits:
    acquire = env.seconds("DATABASE_ACQUIRE_TIMEOUT", 5, minimum=_MIN_TIMEOUT)
    # The default is capped, so that it never conflicts with a short acquire timeout.
    ping = env.seconds("DATABASE_PING_TIMEOUT", min(1, acquire), minimum=_MIN_TIMEOUT)
    if ping > acquire:
        env.refuse(
            "DATABASE_PING_TIMEOUT",
            f"({ping:g}) is larger than DATABASE_ACQUIRE_TIMEOUT ({acquire:g})",
        )
    return Limits(
        acquire_timeout=acquire,
        ping_timeout=ping,
        hard_deadline=env.seconds("DATABASE_HARD_DEADLINE", 15, minimum=_MIN_TIMEOUT),
        leak_warning=env.seconds("DATABASE_LEAK_WARNING", 10, minimum=_MIN_TIMEOUT),
        slow_query=env.milliseconds("DATABASE_SLOW_QUERY", 200) / 1000,
        replica_timeout=env.seconds("DATABASE_REPLICA_TIMEOUT", 2, minimum=_MIN_TIMEOUT),
    )


def _set_password_file(entry: dict[str, Any], env: Environment) -> None:
    name = env.text("DATABASE_PASSWORD_FILE")
    if not name:
        return
    if entry["PASSWORD"]:
        env.refuse("DATABASE_PASSWORD_FILE", "is set, but DATABASE_URL has a password too")
    # Not resolve(): Kubernetes writes a new password by changing a symbolic link.
    file = Path(name).absolute()
    try:
        password = file.read_bytes().strip()
    except OSError as error:
        # Without the file name: someone may have set the password itself.
        env.refuse("DATABASE_PASSWORD_FILE", f"can't be read: {error.strerror}")
    if not password:
        env.refuse("DATABASE_PASSWORD_FILE", "is empty")
    entry["OPTIONS"]["password_file"] = file


def _set_mode(
    entry: dict[str, Any], env: Environment, acquire_timeout: float, threads: int | None
) -> None:
    """Set the pool or CONN_MAX_AGE, by one variable: Django does not allow both."""
    mode = env.choice("DATABASE_CONNECTIONS", MODES, "pool")
    lifetime = env.seconds("DATABASE_MAX_LIFETIME", 1800, minimum=1)
    max_size = env.count("DATABASE_POOL_MAX", 8, minimum=1)
    min_size = env.count("DATABASE_POOL_MIN", min(2, max_size))
    if min_size > max_size:
        env.refuse(
            "DATABASE_POOL_MIN", f"({min_size}) is larger than DATABASE_POOL_MAX ({max_size})"
        )
    pool = {
        "min_size": min_size,
        "max_size": max_size,
        "timeout": acquire_timeout,
        "max_lifetime": lifetime,
        "max_idle": env.seconds("DATABASE_MAX_IDLE", 600, minimum=1),
    }
    if env.text("DATABASE_MAX_WAITING"):
        # Not 0, which means an unlimited queue in psycopg_pool.
        pool["max_waiting"] = env.count("DATABASE_MAX_WAITING", 1, minimum=1)
    else:
        # While the pool is stalled, two threads stay free to refuse requests.
        pool["max_waiting_when_stalled"] = max(1, (threads or 0) - max_size - 2)
    entry["CONN_MAX_AGE"] = lifetime if mode == "persistent" else 0
    entry["CONN_HEALTH_CHECKS"] = mode != "per-request"
    if mode == "pool":
        entry["OPTIONS"]["pool"] = pool


def _set_socket_bounds(options: dict[str, Any], env: Environment, name: str) -> None:
    """Set the client's socket options, and the application name, which PgBouncer accepts too."""
    connect = env.seconds("DATABASE_CONNECT_TIMEOUT", 3, minimum=_MIN_TIMEOUT)
    # psycopg drops fractions, and waits at least 2 s, or 130 s for 0 (timeout_from_conninfo in
    # psycopg 3.3).
    options.setdefault("connect_timeout", max(2, math.ceil(connect)))
    user_timeout = env.milliseconds("DATABASE_TCP_USER_TIMEOUT", 3000, minimum=1)
    options.setdefault("tcp_user_timeout", user_timeout)
    # tcp_user_timeout applies only while sent data is not acknowledged. While the client waits for
    # a result, only keepalive probes notice a broken network. Both values are in seconds. The idle
    # time plus one interval is the user timeout, so that both detect a failure equally fast.
    options.setdefault("keepalives_idle", max(1, user_timeout // 1000 - 1))
    options.setdefault("keepalives_interval", 1)
    options.setdefault("application_name", name)


def _set_session_bounds(entry: dict[str, Any], env: Environment, hard_deadline: float) -> None:
    """Set time zone, timeouts and the planner's costs as startup options: `DISCARD ALL` would undo
    a SET. PgBouncer accepts no startup options, so there ALTER ROLE must set them."""
    statement = env.seconds("DATABASE_STATEMENT_TIMEOUT", 10, minimum=_MIN_TIMEOUT)
    idle = env.seconds("DATABASE_IDLE_TRANSACTION_TIMEOUT", 10, minimum=_MIN_TIMEOUT)
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
            env.refuse(
                "DATABASE_URL", "has startup options, which DATABASE_PGBOUNCER=on does not allow"
            )
        options["pgbouncer"] = True
        return
    # PostgreSQL uses the last of several values for a setting.
    settings = [
        f"-c statement_timeout={round(statement * 1000)}",
        f"-c idle_in_transaction_session_timeout={round(idle * 1000)}",
        # Milliseconds until PostgreSQL ends the statement of a disconnected client.
        "-c client_connection_check_interval=1000",
        # The value of PostgreSQL's documentation for SSDs. With the default of 4, PostgreSQL reads
        # a table of a few pages whole for each row of a list, because it estimates that an index
        # lookup costs more. A session keeps such a plan while the table grows.
        "-c random_page_cost=1.1",
        options.get("options", ""),
        "-c TimeZone=UTC",
    ]
    options["options"] = " ".join(filter(None, settings))


def _set_replicas(entry: dict[str, Any], env: Environment, name: str) -> None:
    """Let reads use every server of the URL, with a pool for each. The pool of all servers is then
    for writes only."""
    on = env.switch("DATABASE_REPLICA_READS", default=False)
    options = entry["OPTIONS"]
    pool = options.get("pool", {})
    max_size = env.count("DATABASE_READ_POOL_MAX", 8, minimum=1)
    min_size = env.count("DATABASE_READ_POOL_MIN", min(1, max_size))
    if min_size > max_size:
        env.refuse(
            "DATABASE_READ_POOL_MIN",
            f"({min_size}) is larger than DATABASE_READ_POOL_MAX ({max_size})",
        )
    if not on:
        return
    if not pool:
        env.refuse("DATABASE_REPLICA_READS", "is on, which needs DATABASE_CONNECTIONS=pool")
    if options.get("pgbouncer"):
        env.refuse("DATABASE_REPLICA_READS", "is on, which needs DATABASE_PGBOUNCER=off")
    options["replicas"] = {"name": name, "min_size": min_size, "max_size": max_size}
