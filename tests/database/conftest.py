"""What the tests of faults share."""

import os
from collections.abc import Callable

import pytest


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Note what was measured: shown by `pytest -rP`, and kept in the file FAULTS_REPORT names."""

    def note(text: str) -> None:
        line = f"{request.node.name}: {text}"
        print(line)
        if report := os.environ.get("FAULTS_REPORT"):
            with open(report, "a") as file:
                print(line, file=file)

    return note
