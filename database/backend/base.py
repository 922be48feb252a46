"""Django's PostgreSQL backend, for a server that may have to be started first."""

import atexit
from typing import Any, ClassVar

from django.db.backends.postgresql import base
from psycopg_pool import ConnectionPool

from database import embedded
from database.supervisor import EmbeddedError


class DatabaseWrapper(base.DatabaseWrapper):
    _connection_pools: ClassVar[dict[str, ConnectionPool]]

    def get_connection_params(self) -> dict[str, Any]:
        """What psycopg connects with; starts the embedded server if that is the one.

        Raises what a refused connection raises when the embedded server can't start, so
        that every caller's error handling holds for it too.
        """
        params: dict[str, Any] = super().get_connection_params()
        folder = params.pop("embedded", None)
        if folder is not None:
            try:
                params["host"] = str(embedded.start(folder))
            except EmbeddedError as error:
                raise self.Database.OperationalError(str(error)) from error
        return params


@atexit.register
def close_pools() -> None:
    """Stop the threads of every pool before the interpreter takes them away: a pool that
    is collected later waits 5 s for each of them, and a management command ends 20 s late.
    """
    for pool in DatabaseWrapper._connection_pools.values():
        pool.close()
