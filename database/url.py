"""From `DATABASE_URL` and `DATABASE_*` to the entry of Django's `DATABASES`."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn, Protocol
from urllib.parse import urlsplit

import dj_database_url

from database import supervisor

BACKEND = "database.backend"
MODES = ("pool", "persistent", "per-request")
SCHEMES = ("postgres", "postgresql")


class Environment(Protocol):
    """What is needed of a reader of environment variables; `refuse` stops the process."""

    def text(self, name: str, default: str = "") -> str: ...
    def count(self, name: str, default: int, *, minimum: int = 0) -> int: ...
    def seconds(self, name: str, default: float, *, minimum: float = 0) -> float: ...
    def choice(self, name: str, choices: Sequence[str], default: str) -> str: ...
    def refuse(self, name: str, why: str) -> NoReturn: ...


def database(env: Environment, embedded: Path | None) -> dict[str, Any]:
    """The `DATABASES` entry that the environment asks for.

    `embedded` is the folder of the embedded PostgreSQL, which is used while
    `DATABASE_URL` is not set; None where the embedded server is not allowed.
    """
    entry = _address(env, embedded)
    options = entry.setdefault("OPTIONS", {})
    # libpq takes whole seconds alone, and takes 0 for "for ever".
    connect_timeout = math.ceil(env.seconds("DATABASE_CONNECT_TIMEOUT", 3, minimum=0.001))
    options.setdefault("connect_timeout", connect_timeout)
    options.setdefault("application_name", "conduit")
    _set_mode(entry, env)
    return entry


def _address(env: Environment, embedded: Path | None) -> dict[str, Any]:
    url = env.text("DATABASE_URL")
    if url:
        return _parsed(env, url)
    if embedded is None:
        env.refuse("DATABASE_URL", "is not set, and the embedded PostgreSQL needs DEBUG=on")
    # The backend starts the server, and fills in the host, at the first connection.
    return {
        "ENGINE": BACKEND,
        "NAME": supervisor.DATABASE,
        "USER": supervisor.ROLE,
        "PORT": supervisor.PORT,
        "OPTIONS": {"embedded": embedded},
    }


def _parsed(env: Environment, url: str) -> dict[str, Any]:
    # No message shows the URL, or a part of it: it carries the password.
    try:
        scheme = urlsplit(url).scheme
        entry = dict(dj_database_url.parse(url, engine=BACKEND)) if scheme in SCHEMES else {}
    except ValueError:
        env.refuse("DATABASE_URL", "is not a URL; special characters need percent-encoding")
    if not entry.get("NAME"):
        env.refuse("DATABASE_URL", "must read postgresql://user:password@host:port/name")
    return entry


def _set_mode(entry: dict[str, Any], env: Environment) -> None:
    """One name for two settings, so that the pair which Django refuses can't be written.

    Every variable is read whatever the mode is, so that a mistake in one shows at once.
    """
    mode = env.choice("DATABASE_CONNECTIONS", MODES, "pool")
    lifetime = env.seconds("DATABASE_MAX_LIFETIME", 1800, minimum=1)
    pool = {
        "min_size": env.count("DATABASE_POOL_MIN", 2),
        "max_size": env.count("DATABASE_POOL_MAX", 8, minimum=1),
        "timeout": env.seconds("DATABASE_ACQUIRE_TIMEOUT", 5, minimum=0.001),
        "max_lifetime": lifetime,
        "max_idle": env.seconds("DATABASE_MAX_IDLE", 600, minimum=1),
    }
    if pool["min_size"] > pool["max_size"]:
        env.refuse(
            "DATABASE_POOL_MIN",
            f"({pool['min_size']}) is larger than DATABASE_POOL_MAX ({pool['max_size']})",
        )
    entry["CONN_MAX_AGE"] = lifetime if mode == "persistent" else 0
    entry["CONN_HEALTH_CHECKS"] = mode != "per-request"
    if mode == "pool":
        entry["OPTIONS"]["pool"] = pool
