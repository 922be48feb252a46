"""The folder that the processes of a running server share.

It contains the metrics and the report of each process, the exits of workers, and the file that
marks the server as draining.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from stat import S_ISREG
from typing import NamedTuple

# prometheus_client reads this variable too. The workers inherit it.
VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
REPORTS = "report-*.jsonl"  # the report of each process, which it replaces once a second
EXITS = "exits.json"  # the workers that have ended
MAX_SIZE = 2**20  # bytes; a larger report is ignored
_DRAINING = "draining"
_OURS = ("*.db", REPORTS, EXITS, "*.new", _DRAINING)


class File(NamedTuple):
    name: str
    written_at: float
    """Seconds since 1970."""
    content: bytes


def make() -> None:
    """Make an empty folder, and set the variable for this process and its children.

    The variable may name the folder. Otherwise it is a new temporary folder, because two servers
    must not share one.
    """
    given = os.environ.get(VARIABLE)
    if given:
        Path(given).mkdir(mode=0o700, parents=True, exist_ok=True)
        os.environ[VARIABLE] = str(Path(given).resolve())
        _empty()
    else:
        os.environ[VARIABLE] = tempfile.mkdtemp(prefix="server-")


def remove() -> None:
    _empty()
    with suppress(OSError):  # the folder contains other files
        _folder().rmdir()


def mark_draining() -> None:
    _folder().mkdir(exist_ok=True)  # a cleanup of temporary files may have removed it
    (_folder() / _DRAINING).touch()


def is_draining() -> bool:
    """Whether the server of this process is about to stop; takes 5 µs."""
    return VARIABLE in os.environ and (_folder() / _DRAINING).exists()


def exists() -> bool:
    """Whether this process belongs to a server that has a folder."""
    return VARIABLE in os.environ and _folder().is_dir()


def write(name: str, content: bytes) -> None:
    """Replace a file of the folder. A reader sees the old or the new content, never a part of it.

    Only the user of the process may read the file, also if the folder is not private. Raises
    OSError.
    """
    temporary = _folder() / f"{name}.{os.getpid()}.new"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    with open(os.open(temporary, flags, 0o600), "wb") as file:
        file.write(content)
    temporary.rename(_folder() / name)


def read(pattern: str) -> Iterator[File]:
    """The files of the folder that match the pattern. Files of other users, links, pipes and files
    over MAX_SIZE are skipped: the folder may be one that others can write to."""
    for path in sorted(_folder().glob(pattern)):
        # OSError: it was removed meanwhile, or is a link.
        with (
            suppress(OSError),
            open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file,
        ):
            status = os.fstat(file.fileno())
            is_ours = S_ISREG(status.st_mode) and status.st_uid == os.geteuid()
            if is_ours and status.st_size <= MAX_SIZE:
                yield File(path.name, status.st_mtime, file.read())


def delete(name: str) -> None:
    (_folder() / name).unlink(missing_ok=True)


def _folder() -> Path:
    return Path(os.environ[VARIABLE])


def _empty() -> None:
    """Remove the files of a server only: the variable may name a folder with other files."""
    for pattern in _OURS:
        for file in _folder().glob(pattern):
            file.unlink(missing_ok=True)
