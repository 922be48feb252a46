"""Typed readers of the process environment.

A value that can't be read stops the process with one sentence that names the
variable: a server that starts with a setting it did not understand is worse than
one that does not start. An empty value means "not set".
"""

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import environ

_ON = frozenset(environ.Env.BOOLEAN_TRUE_STRINGS)
_OFF = frozenset({"false", "off", "n", "no", "0"})


class Env:
    """The variables of this process, with what a `.env` file adds to them."""

    def __init__(self, file: Path) -> None:
        """Read `file`, if there is one; variables that are already set win over it."""
        environ.Env.read_env(file)

    def refuse(self, name: str, why: str) -> NoReturn:
        """Stop the process: the variable `name` is as `why` says. Raises SystemExit."""
        sys.exit(f"{name} {why}.")

    def text(self, name: str, default: str = "") -> str:
        # Not environ.Env.str(): it takes a value that starts with "$" for the name of
        # another variable, and prints it when there is none. Secrets may start with "$".
        return os.environ.get(name) or default

    def secret(self, name: str, minimum_bytes: int) -> str:
        """A required text of a minimum length; it is never part of a message."""
        value = self.text(name)
        if not value:
            self.refuse(name, "is not set")
        if len(value.encode()) < minimum_bytes:
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
        return int(self._number(name, default, int, minimum, "a whole number"))

    def seconds(self, name: str, default: float, *, minimum: float = 0) -> float:
        """A length of time in seconds, fractions allowed, not below `minimum`."""
        return self._number(name, default, float, minimum, "a number of seconds")

    def choice(self, name: str, choices: Sequence[str], default: str) -> str:
        value = self.text(name, default)
        if value not in choices:
            self.refuse(name, f"must be one of {', '.join(choices)}, and is {value!r}")
        return value

    def rate(self, name: str, default: str) -> str:
        """So many requests a second, minute, hour or day, such as `600/minute`."""
        value = self.text(name, default)
        if not re.fullmatch(r"[1-9][0-9]*/(second|minute|hour|day)", value):
            self.refuse(name, f"must read like {default}, and is {value!r}")
        return value

    def words(self, name: str, default: Sequence[str] = ()) -> list[str]:
        """Texts separated by commas."""
        values = environ.Env.parse_value(self.text(name), list)
        return [value.strip() for value in values] or list(default)

    def _number(
        self, name: str, default: float, kind: type[int | float], minimum: float, what: str
    ) -> float:
        text = self.text(name)
        try:
            value = kind(text) if text else default
        except ValueError:
            self.refuse(name, f"must be {what}, and is {text!r}")
        # `not >=`, because a NaN is neither above nor below anything.
        if not minimum <= value < float("inf"):
            self.refuse(name, f"must be {what}, {minimum:g} or more, and is {text!r}")
        return value
