"""A cursor for prepared queries that calls libpq itself."""

from collections.abc import Sequence
from time import monotonic
from typing import Any, Self

import psycopg
from psycopg import pq
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result

from database.backend.connection import Connection


class PreparedCursor:
    """As much of a cursor as Django's wrapper asks for. What it executes is prepared the first
    time, and then run by one call of libpq's.

    psycopg's cursors take several steps to that, and give up the interpreter's lock at each:
    where eight threads share it, that is a fifth of all that a page of articles costs. Below
    them everything is psycopg's: values, rows and errors.
    """

    _query = None  # where Django looks for a text with the values put in

    def __init__(self, connection: Connection) -> None:
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
