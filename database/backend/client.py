"""psql for `manage.py dbshell`."""

import os
import signal
import subprocess
from collections.abc import Iterable
from typing import Any

from django.core.management.base import CommandError
from django.db.backends.postgresql import client
from psycopg import pq

from database.errors import NotConnected

# A person in a shell needs no timeouts. PostgreSQL uses the last value of a setting.
_NO_TIMEOUTS = "-c statement_timeout=0 -c idle_in_transaction_session_timeout=0"


class DatabaseClient(client.DatabaseClient):
    """Starts psql with all connection parameters of the project: the embedded server, the password
    from its file, several hosts.

    Django's own client passes HOST, PORT, USER, PASSWORD and seven options of libpq.
    """

    def runshell(self, parameters: Iterable[str]) -> None:
        environment = os.environ | self._environment()
        handler = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends a query in psql
        try:
            subprocess.run(  # noqa: S603 -- no shell
                [self.executable_name, *parameters], env=environment, check=True
            )
        finally:
            signal.signal(signal.SIGINT, handler)

    def _environment(self) -> dict[str, str]:
        """The parameters as environment variables of libpq. As arguments, every user of the machine
        could read them, the password included.

        Options without a variable are left out: TCP settings, and the password of a client key,
        which psql asks for.
        """
        try:
            params: dict[str, Any] = self.connection.get_connection_params()
        except NotConnected as error:
            raise CommandError(str(error), returncode=os.EX_UNAVAILABLE) from error
        if "options" in params:  # absent behind PgBouncer, which refuses them
            params["options"] = f"{params['options']} {_NO_TIMEOUTS}"
        variables = {
            option.envvar.decode(): str(params[option.keyword.decode()])
            for option in pq.Conninfo.get_defaults()
            if option.envvar and params.get(option.keyword.decode()) is not None
        }
        if embedded := self.connection.settings_dict["OPTIONS"].get("embedded"):
            # Without an installed PostgreSQL, psql comes from the wheel of the embedded server.
            path = os.environ.get("PATH", os.defpath)
            variables["PATH"] = os.pathsep.join([path, str(embedded.programs())])
        return variables
