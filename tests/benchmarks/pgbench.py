"""PostgreSQL's load generator: the speed of the database without a web server."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks.kept import program

CLIENTS = 8


def transactions(
    url: str,
    script: str,
    *,
    seconds: float,
    variables: Mapping[str, object] = {},
    clients: int = CLIENTS,
) -> float:
    """The runs of the script per second, prepared."""
    options = ["--protocol=prepared", "--no-vacuum", "--jobs=2", f"--client={clients}"]
    options += [f"--define={name}={value}" for name, value in variables.items()]
    with TemporaryDirectory(prefix="pgbench-") as folder:
        file = Path(folder, "script.sql")
        file.write_text(script)
        process = subprocess.run(  # noqa: S603 -- PostgreSQL's own program
            [program("pgbench"), *options, f"--time={seconds:.0f}", f"--file={file}", url],
            capture_output=True,
            text=True,
            timeout=seconds + 60,
        )
    assert process.returncode == 0, process.stderr
    counted = re.search(r"tps = ([\d.]+)", process.stdout)
    assert counted, process.stdout
    return float(counted[1])
