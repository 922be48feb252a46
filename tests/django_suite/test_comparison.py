"""What counts as a difference between two runs of Django's tests."""

import pytest

from tests.django_suite.comparison import PASSED, SKIPPED, compare

FAILED = "Traceback (most recent call last): …"


@pytest.mark.parametrize(
    ("stock", "ours"),
    [
        ({"a": PASSED}, {"a": PASSED}),
        ({"a": SKIPPED}, {"a": SKIPPED}),
        ({"a": FAILED}, {"a": FAILED}),
        ({"a": FAILED}, {"a": PASSED}),
    ],
)
def test_a_backend_that_passes_what_the_stock_engine_passes_is_accepted(
    stock: dict[str, str], ours: dict[str, str]
) -> None:
    assert compare(stock, ours, ()).unexpected == {}


@pytest.mark.parametrize("stock", [{"a": PASSED}, {"a": SKIPPED}, {}])
def test_a_failure_of_ours_alone_is_unexpected(stock: dict[str, str]) -> None:
    assert compare(stock, {"a": FAILED}, ()).unexpected == {"a": FAILED}


@pytest.mark.parametrize("ours", [{"a": SKIPPED}, {}])
def test_a_test_that_does_not_run_is_unexpected(ours: dict[str, str]) -> None:
    assert "does not run" in compare({"a": PASSED}, ours, ()).unexpected["a"]


def test_a_listed_difference_must_fail() -> None:
    assert compare({"a": PASSED}, {"a": FAILED}, ["a"]).unexpected == {}
    assert "passes" in compare({"a": PASSED}, {"a": PASSED}, ["a"]).unexpected["a"]
    assert "does not run" in compare({"a": PASSED}, {"a": SKIPPED}, ["a"]).unexpected["a"]


def test_outcomes_are_counted() -> None:
    stock = {"a": PASSED, "b": PASSED, "c": PASSED, "d": FAILED, "e": SKIPPED}
    ours = stock | {"c": FAILED}

    comparison = compare(stock, ours, ["c"])

    assert comparison.ran == 4
    assert comparison._replace(unexpected={}) == (2, 2, 1, 1, 1, {})
