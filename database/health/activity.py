"""Every client of a database, from PostgreSQL's view pg_stat_activity."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import LiteralString

from database.backend import Connection, DatabaseWrapper
from database.health.capacity import shortage

MAX_CLIENTS = 100
TIMEOUT = "300ms"

# Without the texts of the queries, which may contain values. Of a session of another role, a role
# without pg_read_all_stats sees the names only: its state, address and type are NULL.
_CLIENTS: LiteralString = """
    SELECT count(*) OVER (), count(*) FILTER (WHERE state IS NULL) OVER (),
        pid, coalesce(application_name, ''), coalesce(usename, ''), coalesce(datname, ''),
        CASE client_port WHEN -1 THEN 'unix socket' ELSE coalesce(host(client_addr), '') END,
        coalesce(state, ''), state_change,
        coalesce(wait_event_type || ': ' || wait_event, ''), xact_start, clock_timestamp()
    FROM pg_stat_activity
    WHERE usesysid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend'
        AND pid <> pg_backend_pid()
    ORDER BY xact_start NULLS LAST, state_change DESC NULLS LAST, pid
    LIMIT %s
"""


@dataclass
class Client:
    pid: int
    application: str
    user: str
    database: str
    address: str
    """"": hidden from the role."""
    state: str
    """"": hidden from the role."""
    state_seconds: float | None
    """For how long it has this state."""
    wait: str
    transaction_seconds: float | None
    """The age of its transaction."""


@dataclass
class Activity:
    """The clients of the server, without the session that asks."""

    error: str = ""
    """Why nothing is known: the text names hosts and users, but no password."""
    total: int = 0
    """All clients; `clients` has at most MAX_CLIENTS, those with the oldest transactions first."""
    hidden: int = 0
    """Clients whose state the role may not see."""
    role: str = ""
    clients: list[Client] = field(default_factory=list)
    shortage: str | None = None
    """A sentence if the connections of this machine do not fit the server."""
    behind_pgbouncer: bool = False


def read_activity(
    database: DatabaseWrapper, session: Connection, workers: int, threads: int
) -> Activity:
    """Three statements with a timeout of their own. Raises psycopg.Error."""
    behind_pgbouncer = bool(database.settings_dict["OPTIONS"].get("pgbouncer"))
    with session.transaction():
        session.execute(f"SET LOCAL statement_timeout = '{TIMEOUT}'")
        rows = session.execute(_CLIENTS, [MAX_CLIENTS]).fetchall()
        # As in dbcheck: the limits of the server do not hold for connections to PgBouncer.
        sentence = None if behind_pgbouncer else shortage(database, session, workers, threads)
    return Activity(
        total=rows[0][0] if rows else 0,
        hidden=rows[0][1] if rows else 0,
        role=session.info.user,
        clients=[_client(*row[2:]) for row in rows],
        shortage=sentence,
        behind_pgbouncer=behind_pgbouncer,
    )


def _client(
    pid: int,
    application: str,
    user: str,
    database: str,
    address: str,
    state: str,
    state_change: datetime | None,
    wait: str,
    began_at: datetime | None,
    now: datetime,
) -> Client:
    def since(moment: datetime | None) -> float | None:
        return None if moment is None else max(0.0, (now - moment).total_seconds())

    return Client(
        pid, application, user, database, address, state, since(state_change), wait, since(began_at)
    )
