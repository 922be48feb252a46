"""Counters that all processes of the machine share, or all machines if there is a Redis."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from django.conf import settings

from users.limits.file_store import FileBusy, FileStore

logger = logging.getLogger(__name__)

PAUSE = 5  # seconds without a call to a store that failed, because each call may wait for a timeout


class Store(Protocol):
    """Stores counters. A counter starts with its first count, and ends `seconds` later."""

    name: str
    errors: tuple[type[Exception], ...]

    def full(self, limits: Mapping[str, int], seconds: float) -> dict[str, float]:
        """The counters that have reached their limit, with the seconds until they end."""

    def count_unless_full(self, limits: Mapping[str, int], seconds: float) -> dict[str, float]:
        """Like `full()`. If no counter has reached its limit, also adds one to every counter, in
        the same transaction."""

    def location(self) -> str:
        """Where the counters are, for messages. Contains no password."""

    def delete(self, key: str) -> None: ...

    def delete_matching(self, pattern: str) -> int:
        """Delete the counters whose keys match; "*" matches any text. Returns their number."""


class StoreFailed(Exception):
    """The message names the store and the error."""


class _WatchedStore:
    """A store that may fail. Logs when it fails and when it works again."""

    def __init__(self, store: Store, consequence: str) -> None:
        self.store = store
        self.consequence = consequence
        self.failing = False
        self._retry_at: float | None = None  # by time.monotonic(); None: now
        self._lock = threading.Lock()

    def may_be_used(self) -> bool:
        """After a failure, True for one caller every PAUSE seconds."""
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
            # No pause for a busy file: nothing would be limited during the pause.
            busy = isinstance(error, FileBusy)
            self._retry_at = None if busy else time.monotonic() + PAUSE
        if first:
            logger.error("%s failed: %s. %s", self.store.name, error, self.consequence)

    def worked(self) -> None:
        with self._lock:
            last, self.failing, self._retry_at = self.failing, False, None
        if last:
            logger.info("%s works again.", self.store.name)


class Counters:
    """Counts in the first store that works. If all fail, no counter reaches its limit: users can
    log in while a disk is full."""

    def __init__(self, machine: Store, shared: Store | None = None) -> None:
        self._stores = [_WatchedStore(machine, "Nothing is limited until it works.")]
        if shared:
            consequence = "Each machine counts for itself until it works."
            self._stores.insert(0, _WatchedStore(shared, consequence))

    def full(self, limits: Mapping[str, int], seconds: float) -> dict[str, float]:
        """See `Store.full`."""
        return self._first_working(lambda store: store.full(limits, seconds)) or {}

    def count_unless_full(self, limits: Mapping[str, int], seconds: float) -> dict[str, float]:
        """See `Store.count_unless_full`."""
        return self._first_working(lambda store: store.count_unless_full(limits, seconds)) or {}

    def locations(self) -> list[str]:
        """See `Store.location`. Returns one for each store."""
        return [watched.store.location() for watched in self._stores]

    def delete(self, key: str) -> None:
        self._first_working(lambda store: store.delete(key))

    def delete_matching(self, pattern: str) -> int:
        """See `Store.delete_matching`. Deletes in every store, and raises StoreFailed at the end if
        one has failed."""
        deleted, failures = 0, []
        for store in (watched.store for watched in self._stores):
            try:
                deleted += store.delete_matching(pattern)
            except store.errors as error:
                failures.append(f"{store.name} failed: {error}")
        if failures:
            raise StoreFailed(". ".join(failures))
        return deleted

    def _first_working[T](self, call: Callable[[Store], T]) -> T | None:
        for watched in self._stores:
            if not watched.may_be_used():
                continue
            try:
                result = call(watched.store)
            except watched.store.errors as error:
                watched.failed(error)
            else:
                watched.worked()
                return result
        return None


def _configured() -> Counters:
    machine = FileStore()
    if not settings.CACHE_URL:
        return Counters(machine)
    # Imported only if it is used, because the import takes 0.1 s.
    from users.limits.redis_store import RedisStore

    return Counters(machine, RedisStore(settings.CACHE_URL))


counters = _configured()
