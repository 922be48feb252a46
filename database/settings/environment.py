"""The interfaces that a project implements: a reader of variables, and a development server."""

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn, Protocol


class Environment(Protocol):
    """Methods that read a variable and stop the process at an invalid value, as `refuse` does."""

    def text(self, name: str, default: str = "") -> str: ...
    def switch(self, name: str, *, default: bool) -> bool: ...
    def count(self, name: str, default: int, *, minimum: int = 0) -> int: ...
    def seconds(self, name: str, default: float, *, minimum: float = 0) -> float: ...
    def milliseconds(self, name: str, default: int, *, minimum: int = 0) -> int: ...
    def choice(self, name: str, choices: Sequence[str], default: str = "") -> str: ...
    def refuse(self, name: str, why: str) -> NoReturn: ...


class EmbeddedServer(Protocol):
    """A PostgreSQL for development that starts when the first process connects.

    `database.embedded` implements it. Production installs do not contain that package, so the
    settings pass the object in.
    """

    @property
    def name(self) -> str:
        """The name of its superuser and of its database."""

    @property
    def port(self) -> int: ...
    def start(self) -> Path:
        """Start it if it does not run; return the directory of its socket. Raises NotConnected."""

    def programs(self) -> Path:
        """The directory that contains psql."""
