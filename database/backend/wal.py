"""Where a server stands in the write-ahead log (WAL)."""

from collections.abc import Sequence
from typing import NamedTuple

from psycopg import pq
from psycopg.errors import error_from_result

from database.backend.connection import Connection
from database.positions import Position

# initdb chooses it. The rows of a table may come from another system, through a dump or pg_upgrade.
_SYSTEM = b"SELECT system_identifier FROM pg_control_system()"
# A standby has no function for the timeline that it has replayed. There the timeline comes from a
# table. A server that no longer follows the primary never gets the row of a newer timeline. The
# primary tells its timeline itself: a new primary is known before the row is inserted. The first
# eight digits of the name of a WAL file are the timeline. On the primary, everything that was
# written is visible, flushed or not.
_STANDING = """
    SELECT CASE WHEN is_standby
            THEN (SELECT max(number) FROM database_timeline WHERE system_identifier = $1)
            ELSE ('x' || left(pg_walfile_name(lsn), 8))::bit(32)::bigint END,
        lsn - '0/0', is_standby
    FROM pg_is_in_recovery() AS is_standby, LATERAL (
        SELECT CASE WHEN is_standby THEN pg_last_wal_replay_lsn()
            ELSE pg_current_wal_insert_lsn() END
    ) AS position (lsn)
"""
# A standby gets only what is flushed, and the insert position may stay ahead of it for long. But
# without a synchronous commit, the last commit may not be flushed yet. NULL on a standby.
_COMMITTED = """
    SELECT ('x' || left(pg_walfile_name(lsn), 8))::bit(32)::bigint, lsn - '0/0',
        (SELECT max(number) FROM database_timeline WHERE system_identifier = $1)
    FROM (
        SELECT CASE WHEN pg_is_in_recovery() THEN NULL
            WHEN $2::bool OR current_setting('synchronous_commit') = 'off'
            THEN pg_current_wal_insert_lsn() ELSE pg_current_wal_flush_lsn() END
    ) AS position (lsn)
"""
# After its start, a standby replays the WAL on its disk before it asks the primary for more. Until
# then, `received` is NULL, and no function tells how far the WAL on its disk goes.
_RECEIVED = """
    SELECT CASE WHEN received IS NOT NULL
        THEN greatest(received, pg_last_wal_replay_lsn()) - '0/0' END
    FROM pg_last_wal_receive_lsn() AS received
"""
# With "local" and "remote_write", a COMMIT does not wait until a standby has written it to disk.
_SYNCHRONOUS = """
    SELECT current_setting('synchronous_standby_names') <> ''
        AND current_setting('synchronous_commit') IN ('on', 'remote_apply')
"""
_MARK = b"""
    INSERT INTO database_timeline (system_identifier, number) VALUES ($1, $2)
    ON CONFLICT DO NOTHING
"""
_UNKNOWN_STATEMENT = b"26000"  # another statement has deallocated it


class Standing(NamedTuple):
    position: Position
    is_primary: bool


def standing(connection: Connection) -> Standing:
    """What a read on this server sees at least. One round trip. Raises psycopg.Error."""
    timeline, lsn, is_standby = _row(connection, b"standing", _STANDING, [_system(connection)])
    # No row: no process has recorded a position since the migration.
    return Standing(Position(int(timeline or 0), int(lsn or 0)), is_standby == b"f")


def committed(connection: Connection) -> Position | None:
    """The position that covers every commit on this primary so far; None on a standby, which
    commits nothing.

    If the timeline is not in the table yet, it is inserted first: a standby that has the position
    then has the row too. Raises psycopg.Error.
    """
    system = _system(connection)
    parameters = [system, b"t" if connection.skips_flush else b"f"]
    connection.skips_flush = False
    timeline, lsn, marked = _row(connection, b"committed", _COMMITTED, parameters)
    if timeline is None or lsn is None:
        return None
    if marked != timeline:
        result = connection.pgconn.exec_params(_MARK, [system, timeline])
        if result.status != pq.ExecStatus.COMMAND_OK:
            raise error_from_result(result)
        _, lsn, _ = _row(connection, b"committed", _COMMITTED, parameters)
    return Position(int(timeline), int(lsn or 0))


def received(connection: Connection) -> int | None:
    """The LSN up to which a standby has WAL on its disk, replayed or not. None if it does not know,
    because it was restarted and has not replayed all of it yet. Raises psycopg.Error."""
    (lsn,) = _row(connection, b"received", _RECEIVED, [])
    return None if lsn is None else int(lsn)


def is_synchronous(connection: Connection) -> bool:
    """Whether a COMMIT on this primary waits until a standby has it. Raises psycopg.Error."""
    (is_synchronous,) = _row(connection, b"synchronous", _SYNCHRONOUS, [])
    return is_synchronous == b"t"


def _system(connection: Connection) -> bytes:
    """The system identifier of the server; it stays the same as long as the connection."""
    if connection.system_identifier is None:
        result = connection.pgconn.exec_(_SYSTEM)
        if result.status != pq.ExecStatus.TUPLES_OK:
            raise error_from_result(result)
        connection.system_identifier = result.get_value(0, 0)
    return connection.system_identifier or b""


def _row(
    connection: Connection, name: bytes, query: str, parameters: Sequence[bytes]
) -> list[bytes | None]:
    """The only row of a prepared statement."""
    pgconn = connection.pgconn
    if name not in connection.wal_statements:
        _prepare(connection, name, query)
    result = pgconn.exec_prepared(name, parameters)
    if result.error_field(pq.DiagnosticField.SQLSTATE) == _UNKNOWN_STATEMENT:
        _prepare(connection, name, query)
        result = pgconn.exec_prepared(name, parameters)
    if result.status != pq.ExecStatus.TUPLES_OK:
        raise error_from_result(result)
    return [result.get_value(0, column) for column in range(result.nfields)]


def _prepare(connection: Connection, name: bytes, query: str) -> None:
    result = connection.pgconn.prepare(name, query.encode())
    if result.status != pq.ExecStatus.COMMAND_OK:
        raise error_from_result(result)
    connection.wal_statements.add(name)
