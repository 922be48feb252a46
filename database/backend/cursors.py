"""Cursors that tell their connection of every statement."""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from time import monotonic
from typing import Any, Protocol, Self, cast

import psycopg
from psycopg.abc import Params, Query

from database.backend.cleanup import Cleanup


class Observer(Protocol):
    """What these cursors need of their connection."""

    cleanup: Cleanup

    def note_statement(self, query: Any) -> None: ...
    def note_duration(self, query: Any, seconds: float) -> None: ...


class ObservedCursor(psycopg.Cursor[Any]):
    """Tells its connection of every statement, also of those that do not come from Django."""

    @property
    def _observer(self) -> Observer:
        return cast(Observer, self.connection)

    def execute(self, query: Any, params: Params | None = None, **kwargs: Any) -> Self:
        self._observer.note_statement(query)
        started = monotonic()
        try:
            return super().execute(query, params, **kwargs)
        except psycopg.errors.ReadOnlySqlTransaction:
            # Another server is the primary now: a new session may find it, this one won't.
            self._observer.cleanup = Cleanup.DISCARD
            raise
        finally:
            self._observer.note_duration(query, monotonic() - started)

    def executemany(self, query: Query, params_seq: Iterable[Params], **kwargs: Any) -> None:
        self._observer.note_statement(query)
        started = monotonic()
        try:
            super().executemany(query, params_seq, **kwargs)
        finally:
            self._observer.note_duration(query, monotonic() - started)

    def copy(self, statement: Query, *args: Any, **kwargs: Any) -> Any:
        self._observer.note_statement(statement)
        return super().copy(statement, *args, **kwargs)

    def stream(self, query: Query, *args: Any, **kwargs: Any) -> Iterator[Any]:
        self._observer.note_statement(query)
        return super().stream(query, *args, **kwargs)


@lru_cache
def observed(factory: type[psycopg.Cursor[Any]]) -> type[psycopg.Cursor[Any]]:
    """The same class of cursors, made to tell the connection of every statement."""
    return type(factory.__name__, (ObservedCursor, factory), {})
