"""Every client of a database, from PostgreSQL's view pg_stat_activity."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import LiteralString

from database.backend import Connection, DatabaseWrapper
from database.health.limits import Capacity, capacity
from database.health.processes import Machine
from database.settings import project_setting

TIMEOUT = "300ms"

# Without the texts of the queries, which may contain values. Of a session of another role, a role
# without pg_read_all_stats sees the names only: its state, address and type are NULL.
_CLIENTS: LiteralString = """
    SELECT count(*) OVER (), count(*) FILTER (WHERE state IS NULL) OVER (),
        count(*) FILTER (WHERE pid <> ALL (%s)) OVER (),
        pid, coalesce(application_name, ''), coalesce(usename, ''), coalesce(datname, ''),
        CASE client_port WHEN -1 THEN 'unix socket' ELSE coalesce(host(client_addr), '') END,
        coalesce(state, ''), state_change,
        coalesce(wait_event_type || ': ' || wait_event, ''), xact_start, clock_timestamp()
    FROM pg_stat_activity
    WHERE usesysid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend'
        AND pid <> pg_backend_pid()
    ORDER BY xact_start NULLS LAST, state_change DESC NULLS LAST, pid
    LIMIT 100
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
    """All clients; `clients` has at most 100, those with the oldest transactions first."""
    hidden: int = 0
    """Clients whose state the role may not see."""
    others: int = 0
    """Clients that are no processes of this machine's server."""
    role: str = ""
    clients: list[Client] = field(default_factory=list)
    capacity: Capacity | None = None
    """None behind PgBouncer."""


def read_activity(database: DatabaseWrapper, session: Connection, machine: Machine) -> Activity:
    """The clients, and whether there is room for all connections of this machine's processes.
    Three statements with a timeout of their own. Raises psycopg.Error."""
    ours = [pid for worker in machine.running for pid in worker.sessions]
    # A worker that was killed is replaced soon.
    workers = 1 if machine.is_alone else project_setting("SERVER_WORKERS")
    workers = max(workers, len(machine.running))
    behind_pgbouncer = bool(database.settings_dict["OPTIONS"].get("pgbouncer"))
    with session.transaction():
        session.execute(f"SET LOCAL statement_timeout = '{TIMEOUT}'")
        rows = session.execute(_CLIENTS, [ours]).fetchall()
        room = None
        if not behind_pgbouncer:  # as in dbcheck: the limits do not hold for PgBouncer's clients
            room = capacity(database, session, workers, project_setting("SERVER_THREADS"))
    total, hidden, others = rows[0][:3] if rows else (0, 0, 0)
    clients = [_client(*row[3:]) for row in rows]
    return Activity("", total, hidden, others, session.info.user, clients, room)


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
