"""Typed readers of the process environment.

A value that can't be read stops the process with one sentence that names the
variable: a server that starts with a setting it did not understand is worse than
one that does not start. An empty value means "not set".
"""

import io
import math
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import environ

from config.environment.file import EnvFileError, checked_text
from config.environment.hosts import is_host, is_origin

# PostgreSQL and libpq keep a time-out as milliseconds in 32 bits: 24 days.
MAX_MILLISECONDS = 2**31 - 1
MAX_SECONDS = MAX_MILLISECONDS // 1000

_ON = frozenset(environ.Env.BOOLEAN_TRUE_STRINGS)
_OFF = frozenset({"false", "off", "n", "no", "0"})


class Env:
    """The variables of this process, with what a `.env` file adds to them."""

    def __init__(self, file: Path, *, required: bool = False) -> None:
        """Read `file`; variables that are already set win over it.

        A file that cannot be read, or a line that cannot be parsed, stops the process. Without
        `required`, there need not be a file.
        """
        try:
            environ.Env.read_env(io.StringIO(checked_text(file)))
        except EnvFileError as error:
            _stop(str(error))
        except OSError as error:
            if required:
                self.refuse("ENV_FILE", f"names {file}, which can't be read: {error.strerror}")
            if not isinstance(error, FileNotFoundError):
                _stop(f"{file} can't be read: {error.strerror}")

    def refuse(self, name: str, why: str) -> NoReturn:
        """Stop the process: the variable `name` is as `why` says.

        Raises SystemExit with the status that sysexits.h keeps for a configuration error,
        78: a supervisor can tell it from a crash, and need not try again.
        """
        _stop(f"{name} {why}")

    def text(self, name: str, default: str = "") -> str:
        # Not environ.Env.str(): it takes a value that starts with "$" for the name of
        # another variable, and prints it when there is none. Secrets may start with "$".
        return os.environ.get(name) or default

    def secret(self, name: str, minimum_bytes: int, *, required: bool = True) -> str:
        """A text of a minimum length; it is never part of a message."""
        value = self.text(name)
        if required and not value:
            self.refuse(name, "is not set")
        if value and len(value.encode()) < minimum_bytes:
            self.refuse(name, f"is too short: it needs {minimum_bytes} bytes or more")
        return value

    def switch(self, name: str, *, default: bool) -> bool:
        value = self.text(name).strip().lower()
        if not value:
            return default
        if value not in _ON | _OFF:
            self.refuse(name, f"must be on or off, and is {value!r}")
        return value in _ON

    def count(self, name: str, default: int, *, minimum: int = 0) -> int:
        """A whole number, not below `minimum`."""
        what = f"a whole number, {minimum} or more"
        return int(self._number(name, default, int, (minimum, math.inf), what))

    def seconds(
        self, name: str, default: float, *, minimum: float = 0, maximum: float = MAX_SECONDS
    ) -> float:
        """A length of time in seconds, fractions allowed."""
        what = f"a number of seconds from {minimum} to {maximum}"
        return self._number(name, default, float, (minimum, maximum), what)

    def milliseconds(self, name: str, default: int, *, minimum: int = 0) -> int:
        """A length of time in whole milliseconds."""
        what = f"a whole number of milliseconds from {minimum} to {MAX_MILLISECONDS}"
        return int(self._number(name, default, int, (minimum, MAX_MILLISECONDS), what))

    def choice(self, name: str, choices: Sequence[str], default: str = "") -> str:
        """One of `choices`, or "" where the variable is not set and has no default."""
        value = self.text(name, default)
        if value and value not in choices:
            self.refuse(name, f"must be one of {', '.join(choices)}, and is {value!r}")
        return value

    def rate(self, name: str, default: str, *, optional: bool = False) -> str | None:
        """So many requests a second, minute, hour or day, such as `600/minute`; None for an
        empty value, where the rate is `optional`."""
        if optional and os.environ.get(name) == "":
            return None
        value = self.text(name, default)
        if not re.fullmatch(r"[1-9][0-9]*/(second|minute|hour|day)", value):
            self.refuse(name, f"must read like {default}, and is {value!r}")
        return value

    def redis_url(self, name: str) -> str:
        """The URL of a Redis server, or "". It may contain a password: no message shows it."""
        value = self.text(name)
        if not value:
            return ""
        # Imported only where it is used: it takes a tenth of a second.
        from redis import ConnectionPool

        try:
            # Opens no socket. TypeError: an option that redis does not know.
            ConnectionPool.from_url(value).make_connection()
        except (ValueError, TypeError):
            self.refuse(
                name, "must be a URL like redis://host:6379/0, rediss://host:6379/0 or unix:///path"
            )
        return value

    def words(self, name: str, default: Sequence[str] = ()) -> list[str]:
        """Texts separated by commas."""
        values = environ.Env.parse_value(self.text(name), list)
        return [word for value in values if (word := value.strip())] or list(default)

    def hosts(self, name: str, default: Sequence[str]) -> list[str]:
        """Host names for ALLOWED_HOSTS, separated by commas."""
        hosts = self.words(name, default)
        for host in hosts:
            if not is_host(host):
                self.refuse(
                    name,
                    f"has {host!r}, which matches no host: a name has no scheme, port or path;"
                    " .example.com stands for all subdomains, * for every host",
                )
        return hosts

    def origins(self, name: str) -> list[str]:
        """Origins of web pages, separated by commas."""
        origins = self.words(name)
        for origin in origins:
            if not is_origin(origin):
                self.refuse(
                    name,
                    f"has {origin!r}, which no browser sends: an origin reads https://example.com"
                    " or http://localhost:3000, in lower case, without a wildcard, a path or the"
                    " default port",
                )
        return origins

    def _number(
        self,
        name: str,
        default: float,
        kind: type[int | float],
        bounds: tuple[float, float],
        what: str,
    ) -> float:
        text = self.text(name)
        try:
            value = kind(text) if text else default
        except ValueError:
            value = math.nan
        # `not <=`, because a NaN is neither above nor below anything.
        if not bounds[0] <= value <= bounds[1]:
            self.refuse(name, f"must be {what}, and is {text!r}")
        return value


def _stop(sentence: str) -> NoReturn:
    print(f"{sentence}.", file=sys.stderr)
    sys.exit(os.EX_CONFIG)
