"""Cursors that report every statement to their connection."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from time import monotonic
from typing import Any, Protocol, Self, cast

import psycopg
from psycopg.abc import Params, Query

from database.backend.cleanup import Cleanup


class Observer(Protocol):
    """What these cursors need from their connection."""

    cleanup: Cleanup

    def note_statement(self, query: Any) -> None: ...
    def note_duration(self, query: Any, seconds: float) -> None: ...
    def report_commit(self) -> None: ...


class ObservedCursor(psycopg.Cursor[Any]):
    """Reports every statement to its connection, also statements that bypass Django."""

    @property
    def _observer(self) -> Observer:
        return cast(Observer, self.connection)

    def execute(self, query: Any, params: Params | None = None, **kwargs: Any) -> Self:
        self._observer.note_statement(query)
        started = monotonic()
        try:
            return super().execute(query, params, **kwargs)
        except psycopg.errors.ReadOnlySqlTransaction:
            # Another server is the primary now. A new connection may find it.
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

    @contextmanager
    def copy(self, statement: Query, *args: Any, **kwargs: Any) -> Iterator[psycopg.Copy]:
        self._observer.note_statement(statement)
        with super().copy(statement, *args, **kwargs) as copy:
            yield copy
        self._observer.report_commit()

    def stream(self, query: Query, *args: Any, **kwargs: Any) -> Iterator[Any]:
        self._observer.note_statement(query)
        yield from super().stream(query, *args, **kwargs)
        self._observer.report_commit()


@lru_cache
def observed(factory: type[psycopg.Cursor[Any]]) -> type[psycopg.Cursor[Any]]:
    """A subclass of the cursor class that reports every statement."""
    return type(factory.__name__, (ObservedCursor, factory), {})
