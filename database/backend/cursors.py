"""Cursors that tell their connection of every statement."""

from collections.abc import Iterable, Iterator
from time import monotonic
from typing import TYPE_CHECKING, Any, Self, cast

import psycopg
from django.db.backends.postgresql import base
from psycopg import pq
from psycopg.abc import Params, Query

from database.backend.hygiene import Leaves

if TYPE_CHECKING:
    from database.backend.connection import Connection


class ServerBindingCursor(base.CursorMixin, psycopg.Cursor[Any]):
    """Django's cursor; its connection observes every statement, also those that don't come
    through Django."""

    @property
    def _observer(self) -> "Connection":
        return cast("Connection", self.connection)

    def execute(self, query: Any, params: Params | None = None, **kwargs: Any) -> Self:
        self._observer.note(query)
        started = monotonic()
        try:
            return super().execute(query, params, **kwargs)
        except psycopg.errors.ReadOnlySqlTransaction:
            # Another server is the primary now: a new session may find it, this one won't.
            self._observer.leaves = Leaves.NAMES
            raise
        finally:
            self._observer.took(query, monotonic() - started)

    def executemany(self, query: Query, params_seq: Iterable[Params], **kwargs: Any) -> None:
        self._observer.note(query)
        started = monotonic()
        try:
            super().executemany(query, params_seq, **kwargs)
        finally:
            self._observer.took(query, monotonic() - started)

    def copy(self, statement: Query, *args: Any, **kwargs: Any) -> Any:
        self._observer.note(statement)
        return super().copy(statement, *args, **kwargs)

    def stream(self, query: Query, *args: Any, **kwargs: Any) -> Iterator[Any]:
        self._observer.note(query)
        return super().stream(query, *args, **kwargs)


class Cursor(ServerBindingCursor, psycopg.ClientCursor[Any]):
    """The one that Django takes by default."""


class BoundCursor(ServerBindingCursor, psycopg.RawCursor[Any]):
    """Takes $1, $2, … for parameters, which the server puts in, and results in binary, which
    are parsed in three quarters of the time."""

    def execute(self, query: Any, params: Params | None = None, **kwargs: Any) -> Self:
        return super().execute(query, params, binary=True, **kwargs)


class PreparedCursor(BoundCursor):
    """One whose statements are prepared the first time, and then only executed."""

    def execute(self, query: Any, params: Params | None = None, **kwargs: Any) -> Self:
        session = self._observer
        # None at all other times: psycopg would keep the texts of the last hundred statements
        # that might be worth preparing, with all values that Django has put into them.
        session.prepare_threshold = 0
        try:
            return self._execute_prepared(query, params)
        except (psycopg.errors.FeatureNotSupported, psycopg.errors.InvalidSqlStatementName):
            # A table has changed since ("cached plan must not change result type"), or the
            # statement is not there any more. psycopg does not notice, and would go on so.
            session.outdated = True
            if session.pgconn.transaction_status != pq.TransactionStatus.IDLE:
                raise  # nothing can be done before the rollback
            return self._execute_prepared(query, params)
        finally:
            session.prepare_threshold = None

    def _execute_prepared(self, query: Any, params: Params | None) -> Self:
        if self._observer.outdated:
            # psycopg reads it in the answer, and forgets what it has prepared; of a statement
            # that is not prepared itself it does so no more than once.
            super().execute("DEALLOCATE ALL", prepare=True)
            self._observer.outdated = False
        return super().execute(query, params, prepare=True)


# By Django's own.
OBSERVED = {base.Cursor: Cursor, base.ServerBindingCursor: ServerBindingCursor}
