"""Cursors that tell their connection of every statement."""

from collections.abc import Iterable, Iterator, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any, Self, cast

import psycopg
from django.db.backends.postgresql import base
from psycopg import pq
from psycopg.abc import Params, Query
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result

from database.backend.cleanup import Cleanup

if TYPE_CHECKING:
    from database.backend.connection import Connection


class ServerBindingCursor(base.CursorMixin, psycopg.Cursor[Any]):
    """Django's cursor; its connection observes every statement, also those that don't come
    through Django."""

    @property
    def _observer(self) -> "Connection":
        return cast("Connection", self.connection)

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


class Cursor(ServerBindingCursor, psycopg.ClientCursor[Any]):
    """The one that Django takes by default."""


class BoundCursor(ServerBindingCursor, psycopg.RawCursor[Any]):
    """Takes $1, $2, … for parameters, which the server puts in, and results in binary, which
    are parsed in three quarters of the time."""

    def execute(self, query: Any, params: Params | None = None, **kwargs: Any) -> Self:
        return super().execute(query, params, binary=True, **kwargs)


class PreparedCursor:
    """As much of a cursor as Django's wrapper asks for. What it executes is prepared the first
    time, and then run by one call of libpq's.

    psycopg's cursors take several steps to that, and give up the interpreter's lock at each:
    where eight threads share it, that is a fifth of all that a page of articles costs. Below
    them everything is psycopg's: values, rows and errors.
    """

    _query = None  # where Django looks for a text with the values put in

    def __init__(self, connection: "Connection") -> None:
        self.connection = connection
        self._rows: list[tuple[Any, ...]] = []

    def execute(self, query: str, params: Sequence[Any] = ()) -> Self:
        """`query` has $1, $2, … for parameters. Raises psycopg.Error."""
        session = self.connection
        session.note_statement(query)
        started = monotonic()
        try:
            self._rows = self._run(query, params)
        except (psycopg.errors.FeatureNotSupported, psycopg.errors.InvalidSqlStatementName):
            # A table has changed since ("cached plan must not change result type"), or the
            # statement is not there any more.
            session.outdated = True
            if session.pgconn.transaction_status != pq.TransactionStatus.IDLE:
                raise  # nothing can be done before the rollback
            self._rows = self._run(query, params)
        finally:
            session.note_duration(query, monotonic() - started)
        return self

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self._rows

    def close(self) -> None:
        """There is nothing to close."""

    def _run(self, query: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        session, pgconn = self.connection, self.connection.pgconn
        idle = pgconn.transaction_status == pq.TransactionStatus.IDLE
        if idle and not session.autocommit:
            psycopg.Cursor(session).execute("")  # before any statement, psycopg sends its BEGIN
        transformer = Transformer(session)
        values = transformer.dump_sequence(params, [PyFormat.AUTO] * len(params))
        name = self._prepared(query, transformer.types or ())
        result = pgconn.exec_prepared(
            name,
            values,  # type: ignore[arg-type]  # NULL is None, of which their types don't know
            transformer.formats,
            pq.Format.BINARY,
        )
        self._raise_error_of(result)
        transformer.set_pgresult(result)
        return transformer.load_rows(0, result.ntuples, tuple)

    def _prepared(self, query: str, types: Sequence[int]) -> bytes:
        """The name of the statement in this session. The texts are those of declared queries, and
        so are not many."""
        session = self.connection
        if session.outdated:
            self._raise_error_of(session.pgconn.exec_(b"DEALLOCATE ALL"))
            session.statements.clear()
            session.outdated = False
        name = session.statements.get((query, types))
        if name is None:
            name = b"query_%d" % len(session.statements)
            self._raise_error_of(session.pgconn.prepare(name, query.encode(), types))
            session.statements[query, types] = name
        return name

    def _raise_error_of(self, result: pq.abc.PGresult) -> None:
        if result.status in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
            return
        if self.connection.closed and not result.error_field(pq.DiagnosticField.SQLSTATE):
            raise psycopg.OperationalError(result.get_error_message())
        raise error_from_result(result)


# By Django's own.
OBSERVED = {base.Cursor: Cursor, base.ServerBindingCursor: ServerBindingCursor}
