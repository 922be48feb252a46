"""Compare the outcomes of this backend with those of the stock engine."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

PASSED, SKIPPED = "passed", "skipped"
Outcomes = Mapping[str, str]
"""By test: PASSED, SKIPPED, or the traceback of a failure."""


class Comparison(NamedTuple):
    passed: int
    failed: int
    expected: int
    """Failed tests that are listed as differences."""
    common: int
    """Failed tests that also fail with the stock engine."""
    skipped: int
    unexpected: dict[str, str]
    """By test: the traceback, or a sentence. Empty if the comparison is successful."""

    @property
    def ran(self) -> int:
        return self.passed + self.failed


def compare(stock: Outcomes, ours: Outcomes, differences: Collection[str]) -> Comparison:
    """`differences` are tests that fail with this backend; one that passes is unexpected."""
    failed = _failed(ours)
    outcomes = list(ours.values())
    return Comparison(
        passed=outcomes.count(PASSED),
        failed=len(failed),
        expected=len(failed.intersection(differences)),
        common=len(failed & _failed(stock)),
        skipped=outcomes.count(SKIPPED),
        unexpected=_unexpected(stock, ours, differences),
    )


def _failed(outcomes: Outcomes) -> set[str]:
    return {test for test, outcome in outcomes.items() if outcome not in (PASSED, SKIPPED)}


def _unexpected(stock: Outcomes, ours: Outcomes, differences: Collection[str]) -> dict[str, str]:
    unexpected = {}
    for test in stock.keys() | ours.keys():
        # A test without an outcome was not run.
        wanted, outcome = stock.get(test, SKIPPED), ours.get(test, SKIPPED)
        if wanted == PASSED and outcome == SKIPPED:
            unexpected[test] = "This test does not run, and passes with the stock engine."
        elif wanted in (PASSED, SKIPPED) and outcome not in (PASSED, SKIPPED):
            if test not in differences:
                unexpected[test] = outcome
        elif test in differences and outcome == PASSED:
            unexpected[test] = "This test passes, and is listed as a difference."
    return unexpected
