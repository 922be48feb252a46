"""Django's source distribution: it has the test suite, which the wheel does not have."""

import re
import subprocess
import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

import django

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / ".django"


def tests_folder() -> Path:
    """The folder with `runtests.py`; downloads the installed version if it is not there yet.

    Raises subprocess.CalledProcessError if pip fails or the hash differs from the lock file's.
    """
    source = SOURCES / django.get_version()
    if not source.exists():
        SOURCES.mkdir(exist_ok=True)
        with TemporaryDirectory(dir=SOURCES) as temporary:
            _download(Path(temporary))
            # Renamed when it is complete: an interrupted download leaves no partial source.
            Path(temporary, f"django-{source.name}").rename(source)
    return source / "tests"


def _download(folder: Path) -> None:
    requirements = folder / "requirements.txt"
    requirements.write_text(_locked(f"django=={django.get_version()}"))
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-binary=django"]
    options += ["--require-hashes", f"--requirement={requirements}", f"--dest={folder}"]
    subprocess.run([sys.executable, "-m", "pip", "download", *options], check=True)  # noqa: S603 -- pip
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")


def _locked(requirement: str) -> str:
    """The requirement with its hashes, as the lock file has it."""
    lock = (ROOT / "requirements.lock").read_text()
    found = re.search(rf"^{re.escape(requirement)} (?:.*\\\n)+.*$", lock, re.MULTILINE)
    assert found, f"requirements.lock does not have {requirement}"
    return found[0]
