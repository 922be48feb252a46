"""The first connection of a process.

It waits for a database that is starting, and reports the cause of a failure in one sentence. The
pool cannot do this: it reports every cause as a timeout.
"""

import math
import os
import re
import sys
import time
from collections.abc import Mapping
from time import monotonic
from typing import Any, NamedTuple

import psycopg
from django.core.exceptions import ImproperlyConfigured
from psycopg import pq
from psycopg.conninfo import make_conninfo, timeout_from_conninfo

from database.backend import Connection, DatabaseWrapper, cause_of

RETRY_INTERVAL = 0.5  # seconds

# Causes (`outages.cause_of`) that may pass: the server does not run yet, is starting, or is full.
_TEMPORARY_CAUSES = {
    "refused",
    "closed",
    "unreachable",
    "timeout",
    "name_resolution",
    "not_ready",
    "too_many_connections",
}
# Messages while another server becomes the primary, or while PgBouncer cannot log in to the server.
_TEMPORARY_MESSAGES = re.compile("standby|read-only|server login|server_login|connect failed")

_VARIABLES = {
    "authentication": "DATABASE_URL or DATABASE_PASSWORD_FILE",
    "tls": "DATABASE_SSLMODE or DATABASE_SSLROOTCERT",
}

# The parameters of libpq's ping, which needs no user and no password.
_ADDRESS = ("host", "hostaddr", "port", "connect_timeout")


class Problem(NamedTuple):
    """A sentence that names the problem and the setting to change."""

    text: str
    exit_status: int = os.EX_CONFIG
    """A status of sysexits.h; 0 for a warning."""


def warning(text: str) -> Problem:
    return Problem(f"Warning: {text}", exit_status=0)


class ConnectError(Exception):
    def __init__(self, text: str, exit_status: int) -> None:
        super().__init__(text)
        self.problem = Problem(text, exit_status)


def require_database(*databases: DatabaseWrapper) -> None:
    """Stop the process with a sentence if a database does not accept a connection.

    It tries once, which takes at most the connect timeout, and a second for each further address.
    """
    for database in databases:
        try:
            connect(database).close()
        except ConnectError as error:
            print(error, file=sys.stderr)
            sys.exit(error.problem.exit_status)


def connect(
    database: DatabaseWrapper, patience: float = 0, address: Mapping[str, Any] = {}
) -> Connection:
    """Connect, and retry for `patience` seconds after errors that may pass. `address` has libpq's
    parameters that lead to one server of the database.

    Raises ConnectError at the end of this time, or a second later for each further address.
    """
    until = monotonic() + patience
    params = {**_params(database), **address}
    while True:
        try:
            if patience:
                left = math.ceil(until - monotonic())
                params["connect_timeout"] = min(timeout_from_conninfo(params), max(2, left))
            return Connection.connect(alias=database.alias, **params, autocommit=True)
        except psycopg.Error as error:
            if _is_final(error, params):
                raise ConnectError(_unusable(error), os.EX_CONFIG) from error
            # After a timeout, the next attempt would take 2 s, psycopg's minimum.
            timed_out = isinstance(error, psycopg.errors.ConnectionTimeout)
            if monotonic() + (2 if timed_out else RETRY_INTERVAL) > until:
                raise ConnectError(unreachable(error), os.EX_UNAVAILABLE) from error
        time.sleep(RETRY_INTERVAL)


def _params(database: DatabaseWrapper) -> dict[str, Any]:
    try:
        return database.get_connection_params()
    except ImproperlyConfigured as error:  # for example without NAME
        raise ConnectError(str(error), os.EX_CONFIG) from error
    except psycopg.OperationalError as error:  # the embedded server does not start
        raise ConnectError(_one_line(error), os.EX_UNAVAILABLE) from error


def _is_final(error: psycopg.Error, params: dict[str, Any]) -> bool:
    """Whether the server runs and refuses this client, so that a retry does not help.

    libpq hides the server's error code, and messages may be in any language. But its ping reports,
    without TLS and login, whether a server accepts connections at an address.
    """
    if cause_of(error) in _TEMPORARY_CAUSES or _TEMPORARY_MESSAGES.search(str(error)):
        return False
    address = {name: params[name] for name in _ADDRESS if name in params}
    return pq.PGconn.ping(make_conninfo(**address).encode()) == pq.Ping.OK


def _unusable(error: psycopg.Error) -> str:
    if "startup parameter" in str(error):
        variable = "DATABASE_PGBOUNCER=on"
    else:
        variable = _VARIABLES.get(cause_of(error), "DATABASE_URL")
    return f"The database can't be used: {_one_line(error)}; set {variable}."


def unreachable(error: psycopg.Error) -> str:
    return f"The database can't be reached: {_one_line(error)}; check DATABASE_URL."


def _one_line(error: psycopg.Error) -> str:
    # libpq's messages contain host, port, user and database, but no password.
    return " ".join(str(error).split())
