"""Schemathesis makes up requests from the description, and checks the answers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from articles.models import Article
from articles.page_keys import PageKey
from tests.processes import Server

pytestmark = pytest.mark.openapi

HERE = Path(__file__).parent
SECONDS = 45


def test_the_server_answers_made_up_requests_as_described(
    server: Server, token: str, article: Article, tmp_path: Path
) -> None:
    program = Path(sys.executable).with_name("schemathesis")
    variables = {
        "HOOKS": str(HERE / "hooks.py"),
        "TOKEN": token,
        "PAGE_KEY": PageKey(article.created_at, article.pk).encoded(),
    }
    result = subprocess.run(  # noqa: S603 -- installed beside our interpreter
        [
            *(program, "--config-file", HERE / "schemathesis.toml"),
            *("run", f"http://127.0.0.1:{server.port}/api/schema", "--no-color"),
            *("--checks", "all", "--continue-on-failure", "--max-time", str(SECONDS)),
            # The same requests in each run, as far as the content of the site allows.
            *("--seed", "1"),
        ],
        cwd=tmp_path,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=300,
    )

    print(result.stdout)
    assert result.returncode == 0, result.stderr
