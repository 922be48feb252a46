"""Threads that run as long as their process, and survive every error in their work."""

import logging
import os
import threading
from collections.abc import Callable
from time import monotonic

logger = logging.getLogger("database.background")

LOG_INTERVAL = 60.0  # seconds between two log lines for the same function

_logged_at: dict[str, float] = {}  # by the name of the function that failed


class BackgroundThread:
    """A daemon thread that runs `run`, which does not return.

    It starts at the first `ensure_running`. If it has ended, the next call starts another.
    """

    def __init__(self, name: str, run: Callable[[], None]) -> None:
        self._name = name
        self._run = run
        self._reset()
        os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        """Also in a forked process: fork copies no thread, but may copy a locked lock."""
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def ensure_running(self) -> None:
        """Start the thread if it does not run, in 0.1 µs if it does. Never raises an Exception."""
        if self._thread is None or not self._thread.is_alive():
            # The system may refuse another thread now. The next call tries again.
            survive(self._start)

    def _start(self) -> None:
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                thread.start()
                self._thread = thread


def survive[**P, T](work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
    """Call `work`; if it raises an Exception, log it and return None."""
    try:
        return work(*args, **kwargs)
    # A background thread has no caller that could handle an error. An uncaught one would end the
    # thread, and stop its work for all other objects too.
    except Exception:
        _log(getattr(work, "__qualname__", repr(work)))
        return None


def _log(name: str) -> None:
    now = monotonic()
    if now - _logged_at.get(name, -LOG_INTERVAL) >= LOG_INTERVAL:
        _logged_at[name] = now
        logger.exception("%s failed; it is called again in the next round", name)
