"""The program that `manage.py dbshell` starts."""

import os
import signal
import subprocess
from collections.abc import Iterable
from typing import Any

from django.core.management.base import CommandError
from django.db.backends.postgresql import client
from psycopg import pq

from database.errors import NotConnected

# A person in a shell may take their time. PostgreSQL takes the last of two settings.
_NO_TIMEOUTS = "-c statement_timeout=0 -c idle_in_transaction_session_timeout=0"


class DatabaseClient(client.DatabaseClient):
    """psql, connected as the project connects: to the embedded server, with the password from
    its file, to the one of several hosts that `target_session_attrs` asks for.

    Django's own takes HOST, PORT, USER, PASSWORD and seven of libpq's options from the settings.
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
        """libpq's own variables. Every user of the machine can read arguments, and the password
        would be among them.

        Options without a variable are left out: those of the socket, and the password of a
        client key, for which psql asks.
        """
        try:
            params: dict[str, Any] = self.connection.get_connection_params()
        except NotConnected as error:
            raise CommandError(str(error), returncode=os.EX_UNAVAILABLE) from error
        if "options" in params:  # PgBouncer refuses them
            params["options"] = f"{params['options']} {_NO_TIMEOUTS}"
        variables = {
            option.envvar.decode(): str(params[option.keyword.decode()])
            for option in pq.Conninfo.get_defaults()
            if option.envvar and params.get(option.keyword.decode()) is not None
        }
        if embedded := self.connection.settings_dict["OPTIONS"].get("embedded"):
            # A machine without PostgreSQL has the psql of the embedded server's wheel.
            path = os.environ.get("PATH", os.defpath)
            variables["PATH"] = os.pathsep.join([path, str(embedded.programs())])
        return variables
