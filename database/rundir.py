"""The folder that the processes of a running server share.

It contains the metrics of each process, and the file that marks the server as draining.
"""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

# prometheus_client reads this variable too. The workers inherit it.
VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_DRAINING = "draining"


def make() -> None:
    """Make an empty folder, and set the variable for this process and its children.

    The variable may name the folder. Otherwise it is a new temporary folder, because two servers
    must not share one.
    """
    given = os.environ.get(VARIABLE)
    if given:
        Path(given).mkdir(parents=True, exist_ok=True)
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


def _folder() -> Path:
    return Path(os.environ[VARIABLE])


def _empty() -> None:
    """Remove the files of a server only: the variable may name a folder with other files."""
    for file in (*_folder().glob("*.db"), _folder() / _DRAINING):
        file.unlink(missing_ok=True)
