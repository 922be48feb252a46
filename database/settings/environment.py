"""What this app needs from its project: a reader of variables, and a server for development."""

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn, Protocol


class Environment(Protocol):
    """Readers that stop the process at a value they can't read; `refuse` stops it too."""

    def text(self, name: str, default: str = "") -> str: ...
    def switch(self, name: str, *, default: bool) -> bool: ...
    def count(self, name: str, default: int, *, minimum: int = 0) -> int: ...
    def seconds(self, name: str, default: float, *, minimum: float = 0) -> float: ...
    def milliseconds(self, name: str, default: int, *, minimum: int = 0) -> int: ...
    def choice(self, name: str, choices: Sequence[str], default: str = "") -> str: ...
    def refuse(self, name: str, why: str) -> NoReturn: ...


class EmbeddedServer(Protocol):
    """A PostgreSQL for development that starts when the first process connects.

    `database.embedded` has one. Production installs do not contain it, so it is handed in.
    """

    @property
    def name(self) -> str:
        """That of its superuser, and of its database."""

    @property
    def port(self) -> int: ...
    def start(self) -> Path:
        """Start it unless it runs; return the directory of its socket. Raises NotConnected."""

    def programs(self) -> Path:
        """The directory of psql."""
