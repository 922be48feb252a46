"""The object that the settings pass to the backend."""

from dataclasses import dataclass
from pathlib import Path

from database.embedded.starting import programs, start
from database.embedded.supervisor import PORT, EmbeddedError
from database.errors import NotConnected


@dataclass(frozen=True)
class EmbeddedServer:
    """A PostgreSQL with its data in `folder`.

    It starts when the first process connects, and stops after the last such process has ended.
    """

    folder: Path
    name: str
    """The name of its superuser and of its database."""
    port = PORT

    def start(self) -> Path:
        """Start the server if it does not run. Return the directory of its socket.

        Takes 0.1 ms while the server runs. Raises NotConnected.
        """
        try:
            return start(self.folder, self.name)
        except EmbeddedError as error:
            raise NotConnected(str(error)) from error

    def programs(self) -> Path:
        """The directory of `psql`. Raises EmbeddedError if the wheel is not installed."""
        return programs()
