"""The TLS settings of a connection."""

import os
from pathlib import Path
from typing import Any

from database.settings.environment import Environment

# https://www.postgresql.org/docs/current/libpq-ssl.html, from the weakest to the strongest.
MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
SYSTEM = "system"  # for libpq: the certificates that OpenSSL trusts on this machine
LOCAL_HOSTS = frozenset({"", "localhost", "127.0.0.1", "::1"})


def set_tls(entry: dict[str, Any], env: Environment, *, debug: bool) -> None:
    """Set `sslmode` and `sslrootcert`, unless the URL has them.

    libpq's default, `prefer`, accepts connections without TLS and checks no certificate. It applies
    only to a server on this machine, or while `debug` is on.
    """
    options = entry["OPTIONS"]
    strict = not (debug or _is_local(entry))
    mode = env.choice("DATABASE_SSLMODE", MODES, "verify-full" if strict else "")
    certificates = env.text("DATABASE_SSLROOTCERT")
    source = "DATABASE_URL" if "sslrootcert" in options else "DATABASE_SSLROOTCERT"
    for option, value in (("sslmode", mode), ("sslrootcert", certificates)):
        if value:
            options.setdefault(option, value)
    _refuse_bad_mode(options, env)
    _refuse_bad_certificates(options, env, source)


def _is_local(entry: dict[str, Any]) -> bool:
    """Whether every host is this machine. libpq reads a missing host from the environment."""
    hosts = entry["HOST"] or os.environ.get("PGHOST", "")
    addresses = entry["OPTIONS"].get("hostaddr") or os.environ.get("PGHOSTADDR", "")
    names = [*hosts.lower().split(","), *addresses.split(",")]
    return all(
        name in LOCAL_HOSTS or name.startswith(("/", "@")) for name in names
    )  # "/", "@": unix sockets


def _refuse_bad_mode(options: dict[str, Any], env: Environment) -> None:
    mode = options.get("sslmode", "verify-full")
    if mode not in MODES:  # of the URL: env.choice() checks DATABASE_SSLMODE
        env.refuse("DATABASE_URL", f"has an unknown sslmode; use one of {', '.join(MODES)}")
    if options.get("sslrootcert") == SYSTEM and mode != "verify-full":
        env.refuse("DATABASE_SSLROOTCERT", "is system, which requires the sslmode verify-full")


def _refuse_bad_certificates(options: dict[str, Any], env: Environment, source: str) -> None:
    certificates = options.get("sslrootcert", SYSTEM)
    if certificates == SYSTEM:
        return
    try:
        Path(certificates).open().close()
    except OSError as error:
        env.refuse(source, f"names a file that cannot be read: {error.strerror}")
