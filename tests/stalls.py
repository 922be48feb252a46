"""Repeats a test that has exceeded a time while the machine was stalled.

A virtual machine may be paused for a second or two: no process runs, and the clocks go on. Its disk
may be busy with other machines. A time that was measured meanwhile says nothing about the server.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from tempfile import TemporaryFile
from time import monotonic

INTERVAL = 0.02  # seconds
# Seconds. The threads of a test delay each other too, but not for so long.
NOTICEABLE = 0.1
PAGE = bytes(8_192)  # PostgreSQL writes pages of this size
LONG = 0.5  # seconds in total; shorter stalls are no reason to repeat a test


class TooSlow(AssertionError):
    pass


def assert_within(seconds: float, limit: float) -> None:
    """Raise TooSlow if `seconds` is more than `limit`.

    A test must check the answers before the times, because a test that is repeated has checked
    only what stands before the time that was exceeded.
    """
    if seconds > limit:
        raise TooSlow(f"{seconds:.3f} s are more than {limit:g} s")


@contextmanager
def stalls() -> Iterator[list[float]]:
    """The noticeable delays of a thread that sleeps and writes to the disk again and again. They
    are complete after the block."""
    delays: list[float] = []
    over = threading.Event()

    def watch(file: int) -> None:
        while not over.is_set():
            due = monotonic() + INTERVAL
            over.wait(INTERVAL)
            os.pwrite(file, PAGE, 0)
            delay = monotonic() - due
            if delay > NOTICEABLE:
                delays.append(delay)

    with TemporaryFile() as file:
        thread = threading.Thread(target=watch, args=[file.fileno()])
        thread.start()
        try:
            yield delays
        finally:
            over.set()
            thread.join()


def repeated_if_stalled[**P, R](test: Callable[P, R]) -> Callable[P, R]:
    """Run the test once more if it raises TooSlow, and if this process was stalled for more than
    0.5 s meanwhile. Any other failure, and a second one, is final.

    The test must leave its fixtures as it found them.
    """
    return _repeated(test, LONG)


def repeated_if_delayed[**P, R](test: Callable[P, R]) -> Callable[P, R]:
    """The same after any noticeable delay, for a time that hardly depends on this project."""
    return _repeated(test, NOTICEABLE)


def _repeated[**P, R](test: Callable[P, R], tolerated: float) -> Callable[P, R]:
    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            with stalls() as delays:
                return test(*args, **kwargs)
        except TooSlow as error:
            if sum(delays) <= tolerated:
                raise
            note = kwargs.get("figures", print)
            assert callable(note)
            note(f"{error}; the machine was stalled for {sum(delays):.1f} s, so this is repeated")
            return test(*args, **kwargs)

    return run
