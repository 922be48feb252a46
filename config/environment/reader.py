"""Typed readers of the environment of this process.

django-environ reads the `.env` file, finds the variables and casts them. This module adds rules
that it does not have:

- An empty value means "not set".
- A value may start with "$", for example a secret. environ would take it for a reference to
  another variable, and print the value if there is no such variable.
- Numbers have bounds.
- A switch accepts certain words only. environ would take every unknown word for False.
- A value that cannot be used stops the process with a sentence that names the variable.
"""

import io
import math
import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from email.headerregistry import AddressHeader
from pathlib import Path
from typing import Any, NoReturn

import environ

from config.environment.file import EnvFileError, checked_text
from config.environment.hosts import is_host, is_origin

# PostgreSQL and libpq store a timeout as milliseconds in 32 bits: 24 days.
MAX_MILLISECONDS = 2**31 - 1
MAX_SECONDS = MAX_MILLISECONDS // 1000

SMTP = "django.core.mail.backends.smtp.EmailBackend"
CONSOLE = "django.core.mail.backends.console.EmailBackend"

_TRUE = environ.Env.BOOLEAN_TRUE_STRINGS
_FALSE = ("false", "off", "n", "no", "0")


class Env:
    """The variables of this process and of a `.env` file, as they are when this is made."""

    def __init__(self, file: Path, *, required: bool = False) -> None:
        """Read `file`. A variable that is already set keeps its value.

        A file that cannot be read, or a line that cannot be parsed, stops the process. If the file
        is not `required`, it may be missing.
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
        self._environ = environ.Env()
        # An escaped "$" is no reference. environ removes the backslash.
        self._environ.escape_proxy = True
        self._environ.ENVIRON = {
            name: value.replace("$", r"\$") for name, value in os.environ.items() if value
        }

    def refuse(self, name: str, why: str) -> NoReturn:
        """Stop the process with the sentence "<name> <why>."

        Raises SystemExit with status 78, EX_CONFIG of sysexits.h: a supervisor knows that a
        restart does not help.
        """
        _stop(f"{name} {why}")

    def text(self, name: str, default: str = "") -> str:
        return str(self._environ.str(name, default=default))

    def secret(self, name: str, minimum_bytes: int, *, required: bool = True) -> str:
        """A text with a minimum length. No message shows it."""
        value = self.text(name)
        if required and not value:
            self.refuse(name, "is not set")
        if value and len(value.encode()) < minimum_bytes:
            self.refuse(name, f"is too short: it needs {minimum_bytes} bytes or more")
        return value

    def switch(self, name: str, *, default: bool) -> bool:
        word = self.text(name).strip().lower()
        if word and word not in (*_TRUE, *_FALSE):
            self.refuse(name, f"must be on or off, and is {word!r}")
        return word in _TRUE if word else default

    def count(self, name: str, default: int, *, minimum: int = 0) -> int:
        """A whole number, not below `minimum`."""
        what = f"a whole number, {minimum} or more"
        return self._number(name, int, default, (minimum, math.inf), what)

    def seconds(
        self, name: str, default: float, *, minimum: float = 0, maximum: float = MAX_SECONDS
    ) -> float:
        """A duration in seconds. Fractions are allowed."""
        what = f"a number of seconds from {minimum} to {maximum}"
        return self._number(name, float, default, (minimum, maximum), what)

    def milliseconds(self, name: str, default: int, *, minimum: int = 0) -> int:
        """A duration in whole milliseconds."""
        what = f"a whole number of milliseconds from {minimum} to {MAX_MILLISECONDS}"
        return self._number(name, int, default, (minimum, MAX_MILLISECONDS), what)

    def choice(self, name: str, choices: Sequence[str], default: str = "") -> str:
        """One of `choices`, or "" if the variable is not set and has no default."""
        value = self.text(name, default)
        if value and value not in choices:
            self.refuse(name, f"must be one of {', '.join(choices)}, and is {value!r}")
        return value

    def rate(self, name: str, default: str, *, optional: bool = False) -> str | None:
        """A number of requests per second, minute, hour or day, such as `600/minute`. None if the
        value is empty and the rate is `optional`."""
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
        # Imported only where it is used: the import takes 0.1 s.
        from redis import ConnectionPool

        try:
            # Opens no socket. TypeError: an option that redis does not know.
            ConnectionPool.from_url(value).make_connection()
        except (ValueError, TypeError):
            self.refuse(
                name, "must be a URL like redis://host:6379/0, rediss://host:6379/0 or unix:///path"
            )
        return value

    def email_url(self, name: str) -> dict[str, Any]:
        """A mailer for Django's MAILERS, or {} without a URL. It may contain a password: no message
        shows it."""
        value = self.text(name)
        if not value:
            return {}
        try:
            config = environ.Env.email_url_config(value)
        except (environ.ImproperlyConfigured, ValueError):
            config = {}
        backend = config.get("EMAIL_BACKEND", "")
        if backend == SMTP and config["EMAIL_HOST"] and "OPTIONS" not in config:
            return {
                "BACKEND": SMTP,
                "OPTIONS": {
                    "host": config["EMAIL_HOST"],
                    "port": config["EMAIL_PORT"],
                    "username": config["EMAIL_HOST_USER"] or "",
                    "password": config["EMAIL_HOST_PASSWORD"] or "",
                    "use_tls": config.get("EMAIL_USE_TLS", False),
                    "use_ssl": config.get("EMAIL_USE_SSL", False),
                },
            }
        if backend == CONSOLE:
            return {"BACKEND": CONSOLE}
        self.refuse(
            name,
            "must be a URL like smtp+tls://user:password@host:587, smtp+ssl://user:password@host:465,"
            " smtp://host:25 or consolemail://",
        )

    def email_address(self, name: str) -> str:
        """An address with or without a name, such as `Conduit <mail@example.com>`, or ""."""
        value = self.text(name)
        mailbox = AddressHeader.value_parser(value)
        if value and (mailbox.all_defects or len(mailbox.all_mailboxes) != 1):
            self.refuse(name, f"must be like Conduit <mail@example.com>, and is {value!r}")
        return value

    def site_url(self, name: str) -> str:
        """The origin of a site, such as https://example.com, or ""."""
        value = self.text(name)
        if value and not (is_origin(value) and value.startswith(("http://", "https://"))):
            self.refuse(name, f"must be like https://example.com, without a path, and is {value!r}")
        return value

    def hosts(self, name: str, default: Sequence[str]) -> list[str]:
        """Host names for ALLOWED_HOSTS, separated by commas."""
        why = (
            "matches no host: a name has no scheme, port or path; .example.com stands for all"
            " subdomains, * for every host"
        )
        return self._words(name, is_host, why) or list(default)

    def origins(self, name: str) -> list[str]:
        """Origins of web pages, separated by commas."""
        why = (
            "no browser sends: an origin is like https://example.com or http://localhost:3000, in"
            " lower case, without a wildcard, a path or the default port"
        )
        return self._words(name, is_origin, why)

    def _words(self, name: str, is_valid: Callable[[str], bool], why: str) -> list[str]:
        values = self._environ.list(name, default=[])
        words = [word for value in values if (word := value.strip())]
        for word in words:
            if not is_valid(word):
                self.refuse(name, f"has {word!r}, which {why}")
        return words

    def _number[N: (int, float)](
        self, name: str, kind: type[N], default: N, bounds: tuple[float, float], what: str
    ) -> N:
        with suppress(ValueError):
            # Not `cast=float`: environ removes the letters, and reads "1e12" as 112.
            value: N = self._environ(name, cast=lambda text: kind(text), default=default)
            if bounds[0] <= value <= bounds[1]:  # False for a NaN
                return value
        self.refuse(name, f"must be {what}, and is {self.text(name)!r}")


def _stop(sentence: str) -> NoReturn:
    print(f"{sentence}.", file=sys.stderr)
    sys.exit(os.EX_CONFIG)
