"""A client in TypeScript, generated from the description, compiles and works."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.builders import PASSWORD
from tests.processes import Server

pytestmark = pytest.mark.openapi

CLIENT = Path(__file__).with_name("client")


def test_a_typescript_client_reads_a_page_logs_in_and_comments(
    server: Server, tmp_path: Path
) -> None:
    if not shutil.which("npm"):
        pytest.skip("npm is not installed")
    url = f"http://127.0.0.1:{server.port}/api"
    folder = shutil.copytree(CLIENT, tmp_path / "client")

    def npm(*command: str) -> str:
        return run(folder, "npm", *command)

    npm("ci", "--ignore-scripts", "--no-audit", "--no-fund")
    npm("exec", "--", "openapi-typescript", f"{url}/schema", "--output", "api.ts")
    npm("exec", "--", "tsc")
    output = run(folder, "node", "client.js", url, "alice@example.com", PASSWORD)

    assert output == "How to train your dragon: Thank you, that was helpful.\n"


def run(folder: Path, *command: str) -> str:
    result = subprocess.run(  # noqa: S603 -- programs of this test
        command, cwd=folder, capture_output=True, text=True, timeout=200
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout
