"""Whether the database answers, asked before the server takes traffic."""

import sys

import psycopg
from django.db import connection

EX_UNAVAILABLE = 69  # sysexits.h: "a service is unavailable"


def require_database() -> None:
    """Connect once, or stop the process with the cause; it takes no more than the
    connect time-out for each address of the host.

    The connection is one of its own, not the pool's: a pool answers every cause alike,
    after its acquire time-out, with "couldn't get a connection".
    """
    try:
        psycopg.connect(**connection.get_connection_params()).close()
    except psycopg.Error as error:
        # libpq names host, port, user and database in its messages, and no password.
        print(f"The database can't be reached: {error}".rstrip(), file=sys.stderr)
        sys.exit(EX_UNAVAILABLE)
