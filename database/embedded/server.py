"""The embedded PostgreSQL as the backend sees it."""

from dataclasses import dataclass
from pathlib import Path

from database.embedded.starting import programs, start
from database.embedded.supervisor import PORT, EmbeddedError
from database.errors import NotConnected


@dataclass(frozen=True)
class EmbeddedServer:
    """A server that keeps its data in `folder`. It is started when the first process connects,
    and stopped when the last such process has ended."""

    folder: Path
    name: str
    """That of its superuser, and of its database."""
    port = PORT

    def start(self) -> Path:
        """Start the server unless it runs; return the directory of its socket.

        Takes 0.1 ms while the server runs. Raises NotConnected.
        """
        try:
            return start(self.folder, self.name)
        except EmbeddedError as error:
            raise NotConnected(str(error)) from error

    def programs(self) -> Path:
        """The directory of `psql`. Raises EmbeddedError if the wheel is not installed."""
        return programs()
