"""Write the outcome of every test of a run to a file."""

import json
import os
import traceback
from pathlib import Path
from typing import Any
from unittest import TestCase, TestSuite, TextTestResult

from django.test.runner import DiscoverRunner

from tests.django_suite.comparison import PASSED, SKIPPED


class Recorder(TextTestResult):
    """Keeps "passed", "skipped" or a traceback for each test."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.outcomes: dict[str, str] = {}

    def addSuccess(self, test: TestCase) -> None:
        super().addSuccess(test)
        self.outcomes[test.id()] = PASSED

    def addExpectedFailure(self, test: TestCase, err: Any) -> None:
        super().addExpectedFailure(test, err)
        self.outcomes[test.id()] = PASSED

    def addUnexpectedSuccess(self, test: TestCase) -> None:
        super().addUnexpectedSuccess(test)
        self.outcomes[test.id()] = "the test is marked as an expected failure, and passes"

    def addSkip(self, test: TestCase, reason: str) -> None:
        super().addSkip(test, reason)
        self.outcomes[test.id()] = SKIPPED

    def addFailure(self, test: TestCase, err: Any) -> None:
        super().addFailure(test, err)
        self._add_traceback(test, err)

    def addError(self, test: TestCase, err: Any) -> None:
        super().addError(test, err)
        self._add_traceback(test, err)

    def addSubTest(self, test: TestCase, subtest: TestCase, err: Any) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._add_traceback(test, err)

    def _add_traceback(self, test: TestCase, err: Any) -> None:
        self.outcomes[test.id()] = "".join(traceback.format_exception(*err))


class RecordingRunner(DiscoverRunner):
    def get_resultclass(self) -> type[Recorder]:
        return Recorder

    def run_suite(self, suite: TestSuite, **kwargs: Any) -> Any:
        result: Any = super().run_suite(suite, **kwargs)
        Path(os.environ["SUITE_REPORT"]).write_text(json.dumps(result.outcomes))
        return result
