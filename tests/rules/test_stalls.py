"""A test is repeated only if it has exceeded a time, and only if the machine was stalled."""

import ctypes
from collections.abc import Callable
from typing import Never

import pytest

from tests.stalls import LONG, TooSlow, assert_within, repeated_if_stalled

STALL = LONG + 0.2


def stall(seconds: float) -> None:
    """Let no thread of this process run Python code: a PyDLL keeps the lock of the interpreter."""
    ctypes.PyDLL(None).usleep(int(seconds * 1_000_000))


def run(*measured: float, stalled: float) -> list[str]:
    """Run a test that may take 1 s. Each run measures one of these times."""
    notes: list[str] = []
    times = iter(measured)

    @repeated_if_stalled
    def test(figures: Callable[[str], None]) -> None:
        figures("run")
        stall(stalled)
        assert_within(next(times), 1)

    try:
        test(figures=notes.append)
    except TooSlow as error:
        notes.append(f"failed: {error}")
    return notes


def test_a_test_that_exceeds_a_time_in_a_stall_is_repeated_once() -> None:
    assert run(1, stalled=STALL) == ["run"]

    first, reason, second = run(2, 1, stalled=STALL)
    assert (first, second) == ("run", "run")
    assert reason.startswith("2.000 s are more than 1 s; the machine was stalled for ")

    assert run(2, 3, stalled=STALL)[2:] == ["run", "failed: 3.000 s are more than 1 s"]


def test_a_test_is_not_repeated_without_a_stall() -> None:
    assert run(2, 1, stalled=0) == ["run", "failed: 2.000 s are more than 1 s"]


def test_a_test_with_a_wrong_answer_is_not_repeated() -> None:
    runs = []

    @repeated_if_stalled
    def test() -> Never:
        runs.append(1)
        stall(STALL)
        raise AssertionError("a write was lost")

    with pytest.raises(AssertionError, match="lost"):
        test()
    assert len(runs) == 1
