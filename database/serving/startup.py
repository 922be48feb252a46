"""The first connection of a process: it waits for a database that is only late, and says in a
sentence why there is none.

It is not the pool's: a pool answers every cause alike, after its acquire time-out, with
"couldn't get a connection".
"""

import math
import os
import re
import sys
import time
from time import monotonic
from typing import Any, NamedTuple

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo, timeout_from_conninfo

from database.backend import Connection, DatabaseWrapper, cause_of

RETRY_INTERVAL = 0.5  # seconds

# What a moment may change (`outages.cause_of`): there is no server yet, or it starts, or it is
# full; another is about to become the primary, or PgBouncer has no session for us yet.
_PASSING = {
    "refused",
    "closed",
    "unreachable",
    "timeout",
    "name_resolution",
    "not_ready",
    "too_many_connections",
}
_PASSING_WORDS = re.compile("standby|read-only|server login|server_login|connect failed")

_TO_SET = {
    "authentication": "DATABASE_URL or DATABASE_PASSWORD_FILE",
    "tls": "DATABASE_SSLMODE or DATABASE_SSLROOTCERT",
}

# libpq's ping takes no more: no name and no password to know that there is a server.
_ADDRESS = ("host", "hostaddr", "port", "connect_timeout")


class Finding(NamedTuple):
    """A sentence that says what is wrong and what to set, and the status to exit with, as
    sysexits.h has them; 0 for a mere warning."""

    text: str
    exit_status: int = os.EX_CONFIG


class NoDatabase(Exception):
    def __init__(self, text: str, exit_status: int) -> None:
        super().__init__(text)
        self.finding = Finding(text, exit_status)


def require_database(*databases: DatabaseWrapper) -> None:
    """Stop the process with a sentence if a database does not accept a connection.

    It tries once, which takes at most the connect timeout for each address of the host.
    """
    for database in databases:
        try:
            connect(database).close()
        except NoDatabase as error:
            print(error, file=sys.stderr)
            sys.exit(error.finding.exit_status)


def connect(database: DatabaseWrapper, patience: float = 0) -> Connection:
    """A session with the database; tries again for `patience` seconds while that may help.

    Raises NoDatabase, at the end of that time if the host has one address.
    """
    until = monotonic() + patience
    params = _params(database)
    while True:
        try:
            if patience:
                left = math.ceil(until - monotonic())
                params["connect_timeout"] = min(timeout_from_conninfo(params), max(2, left))
            return Connection.connect(**params, autocommit=True)
        except psycopg.Error as error:
            if _is_final(error, params):
                raise NoDatabase(_refused(error), os.EX_CONFIG) from error
            # After a time-out another try would take psycopg's least, 2 s.
            timed_out = isinstance(error, psycopg.errors.ConnectionTimeout)
            if monotonic() + (2 if timed_out else RETRY_INTERVAL) > until:
                raise NoDatabase(unreachable(error), os.EX_UNAVAILABLE) from error
        time.sleep(RETRY_INTERVAL)


def _params(database: DatabaseWrapper) -> dict[str, Any]:
    try:
        return database.get_connection_params()
    except psycopg.OperationalError as error:  # the embedded server has not started
        raise NoDatabase(_in_a_line(error), os.EX_UNAVAILABLE) from error


def _is_final(error: psycopg.Error, params: dict[str, Any]) -> bool:
    """Whether there is a server, and it is not content with us: waiting won't cure that.

    libpq keeps the server's error code to itself, and its words may be in any language. But
    it says of an address whether there is a server that takes connections, without TLS or a
    log-in.
    """
    if cause_of(error) in _PASSING or _PASSING_WORDS.search(str(error)):
        return False
    address = {name: params[name] for name in _ADDRESS if name in params}
    return pq.PGconn.ping(make_conninfo(**address).encode()) == pq.Ping.OK


def _refused(error: psycopg.Error) -> str:
    if "startup parameter" in str(error):
        to_set = "DATABASE_PGBOUNCER=on"
    else:
        to_set = _TO_SET.get(cause_of(error), "DATABASE_URL")
    return f"The database can't be used: {_in_a_line(error)}; set {to_set}."


def unreachable(error: psycopg.Error) -> str:
    return f"The database can't be reached: {_in_a_line(error)}; DATABASE_URL says where it is."


def _in_a_line(error: psycopg.Error) -> str:
    # libpq's words name host, port, user and database, and no password.
    return " ".join(str(error).split())
