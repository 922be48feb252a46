"""Which proof of itself a PostgreSQL on another machine has to give."""

import os
from pathlib import Path
from typing import Any

from database.settings.environment import Environment

# https://www.postgresql.org/docs/current/libpq-ssl.html, from the weakest to the strongest.
MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
SYSTEM = "system"  # not a file, but libpq's word for what OpenSSL trusts on this machine
HERE = frozenset({"", "localhost", "127.0.0.1", "::1"})


def set_tls(entry: dict[str, Any], env: Environment, *, debug: bool) -> None:
    """Fill in `sslmode` and `sslrootcert`, which win where the URL has them.

    libpq's own default, `prefer`, asks for no proof and is content without TLS: it holds
    for a server on this machine and while `debug` is on, nowhere else.
    """
    options = entry["OPTIONS"]
    strict = not (debug or _is_here(entry))
    mode = env.choice("DATABASE_SSLMODE", MODES, "verify-full" if strict else "")
    certificates = env.text("DATABASE_SSLROOTCERT")
    source = "DATABASE_URL" if "sslrootcert" in options else "DATABASE_SSLROOTCERT"
    for option, value in (("sslmode", mode), ("sslrootcert", certificates)):
        if value:
            options.setdefault(option, value)
    _refuse_bad_mode(options, env)
    _refuse_bad_certificates(options, env, source)


def _is_here(entry: dict[str, Any]) -> bool:
    """Whether every host is this machine. libpq looks into the environment for what the
    URL leaves out."""
    hosts = entry["HOST"] or os.environ.get("PGHOST", "")
    addresses = entry["OPTIONS"].get("hostaddr") or os.environ.get("PGHOSTADDR", "")
    names = [*hosts.lower().split(","), *addresses.split(",")]
    return all(name in HERE or name.startswith(("/", "@")) for name in names)  # "/", "@": sockets


def _refuse_bad_mode(options: dict[str, Any], env: Environment) -> None:
    mode = options.get("sslmode", "verify-full")
    if mode not in MODES:  # of the URL: the variable's has been looked at
        env.refuse("DATABASE_URL", f"has an sslmode that is none of {', '.join(MODES)}")
    if options.get("sslrootcert") == SYSTEM and mode != "verify-full":
        env.refuse("DATABASE_SSLROOTCERT", "is system, which allows no sslmode but verify-full")


def _refuse_bad_certificates(options: dict[str, Any], env: Environment, source: str) -> None:
    certificates = options.get("sslrootcert", SYSTEM)
    if certificates == SYSTEM:
        return
    try:
        Path(certificates).open().close()
    except OSError as error:
        env.refuse(source, f"names certificates that can't be read: {error.strerror}")
