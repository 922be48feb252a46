"""Counters that all processes of the machine share, or all machines through Redis."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from django.conf import settings

from users.limits.file_store import FileBusy, FileStore

logger = logging.getLogger(__name__)

PAUSE = 5  # seconds until a store that failed is asked again: asking it may take time


class Store(Protocol):
    """A place for counters. A counter starts with its first count, and ends `seconds` later."""

    name: str
    errors: tuple[type[Exception], ...]

    def full(self, limits: Mapping[str, int], seconds: float) -> dict[str, float]:
        """The counters that have reached their limit, with the seconds until they end."""

    def count_unless_full(self, limits: Mapping[str, int], seconds: float) -> dict[str, float]:
        """What `full()` returns. If no counter has reached its limit, one is added to every
        counter, in the same transaction."""

    def location(self) -> str:
        """Where the counters are, for people; without a password."""

    def delete(self, key: str) -> None: ...

    def delete_matching(self, pattern: str) -> int:
        """Delete the counters whose keys match, with "*" for any text; return their number."""


class StoreFailed(Exception):
    """Says which store, and why."""


class _WatchedStore:
    """A store, and whether it works."""

    def __init__(self, store: Store, consequence: str) -> None:
        self.store = store
        self.consequence = consequence
        self.failing = False
        self._retry_at: float | None = None  # by time.monotonic(); None: now
        self._lock = threading.Lock()

    def may_be_used(self) -> bool:
        """During a pause, only one caller every PAUSE seconds may ask."""
        if self._retry_at is None:
            return True
        with self._lock:
            if self._retry_at is None:
                return True
            if time.monotonic() < self._retry_at:
                return False
            self._retry_at = time.monotonic() + PAUSE
            return True

    def failed(self, error: Exception) -> None:
        with self._lock:
            first, self.failing = not self.failing, True
            # A busy file has no pause: nothing is limited during one.
            busy = isinstance(error, FileBusy)
            self._retry_at = None if busy else time.monotonic() + PAUSE
        if first:
            logger.error("%s failed: %s. %s", self.store.name, error, self.consequence)

    def worked(self) -> None:
        if not self.failing:
            return
        with self._lock:
            last, self.failing, self._retry_at = self.failing, False, None
        if last:
            logger.info("%s works again.", self.store.name)


class Counters:
    """Counts in the first store, or while that fails, in the next. If all fail, nothing has
    reached its limit: people can log in while a disk is full."""

    def __init__(self, machine: Store, shared: Store | None = None) -> None:
        self._stores = [_WatchedStore(machine, "Nothing is limited until it works.")]
        if shared:
            consequence = "Each machine counts for itself until it works."
            self._stores.insert(0, _WatchedStore(shared, consequence))

    def full(self, limits: Mapping[str, int], seconds: float) -> dict[str, float]:
        """See `Store.full`."""
        return self._ask(lambda store: store.full(limits, seconds)) or {}

    def count_unless_full(self, limits: Mapping[str, int], seconds: float) -> dict[str, float]:
        """See `Store.count_unless_full`."""
        return self._ask(lambda store: store.count_unless_full(limits, seconds)) or {}

    def locations(self) -> list[str]:
        """See `Store.location`; of every store."""
        return [watched.store.location() for watched in self._stores]

    def delete(self, key: str) -> None:
        self._ask(lambda store: store.delete(key))

    def delete_matching(self, pattern: str) -> int:
        """See `Store.delete_matching`; in every store. Raises StoreFailed, after it has asked
        all of them."""
        deleted, failures = 0, []
        for store in (watched.store for watched in self._stores):
            try:
                deleted += store.delete_matching(pattern)
            except store.errors as error:
                failures.append(f"{store.name} failed: {error}")
        if failures:
            raise StoreFailed(". ".join(failures))
        return deleted

    def _ask[T](self, question: Callable[[Store], T]) -> T | None:
        for watched in self._stores:
            if not watched.may_be_used():
                continue
            try:
                answer = question(watched.store)
            except watched.store.errors as error:
                watched.failed(error)
            else:
                watched.worked()
                return answer
        return None


def _configured() -> Counters:
    machine = FileStore()
    if not settings.CACHE_URL:
        return Counters(machine)
    # Imported only where it is used: it takes a tenth of a second.
    from users.limits.redis_store import RedisStore

    return Counters(machine, RedisStore(settings.CACHE_URL))


counters = _configured()
