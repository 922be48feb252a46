"""Several prepared statements in one round trip, with libpq's pipeline mode.

Two round trips cost more than one: each wakes PostgreSQL and the thread that waits for it.
psycopg's `Connection.pipeline` costs more than it saves: 40 µs of CPU time more than two separate
statements.
"""

import select
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import psycopg
from psycopg import pq


class BoundStatement(NamedTuple):
    """A prepared statement with its values, as libpq takes them."""

    name: bytes
    values: Sequence[pq.abc.Buffer | None]
    formats: Sequence[pq.Format] | None


def results_of(
    connection: psycopg.Connection, statements: Sequence[BoundStatement]
) -> list[pq.abc.PGresult]:
    """The result of each statement. After an error, PostgreSQL skips the statements behind it, and
    their results have the status PIPELINE_ABORTED.

    Raises psycopg.OperationalError if the connection breaks. The connection is closed after any
    exception, because it may have unread results.
    """
    pgconn = connection.pgconn
    try:
        pgconn.enter_pipeline_mode()
        for statement in statements:
            pgconn.send_query_prepared(*statement, pq.Format.BINARY)
        pgconn.pipeline_sync()
        results = [*_results_before_sync(pgconn)]
        pgconn.exit_pipeline_mode()
    except BaseException:
        connection.close()
        raise
    return results


def _results_before_sync(pgconn: pq.abc.PGconn) -> Iterator[pq.abc.PGresult]:
    poll = select.poll()
    poll.register(pgconn.socket, select.POLLIN | select.POLLOUT)
    while pgconn.flush():  # the socket is full
        poll.poll()
        pgconn.consume_input()  # the server sends nothing more while its own socket is full
    poll.modify(pgconn.socket, select.POLLIN)
    while True:
        # get_result() must not wait: unlike the other methods of psycopg, it keeps the GIL, so no
        # other thread of the process could run.
        while pgconn.is_busy():
            poll.poll()
            pgconn.consume_input()
        result = pgconn.get_result()
        if result is None:  # the end of the results of a statement
            if pgconn.status == pq.ConnStatus.BAD:
                raise psycopg.OperationalError(pgconn.get_error_message())
        elif result.status == pq.ExecStatus.PIPELINE_SYNC:
            return
        else:
            yield result
