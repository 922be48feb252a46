"""Make forks safe: a child process must not use the connections of its parent."""

import os
from typing import Any

from django.db import connections

from database.backend import connection as connection_module
from database.backend import hosts, housekeeping
from database.backend.base import DatabaseWrapper
from database.backend.checkouts import checked_out
from database.backend.running import running_requests
from database.backend.watchdog import watchdog

# Kept forever: if the garbage collector closed a connection, its file descriptor could belong to
# another file by then.
_inherited: list[Any] = []


def _forget_everything() -> None:
    """After a fork, in the child: drop the parent's connections and pools. The child must neither
    use the parent's sockets nor tell the server that the sessions end. Closing a pool would wait
    for its threads, which do not exist in the child."""
    for session in list(connection_module.open_connections):
        session.abandon()
        _inherited.append(session)
    _inherited.extend(DatabaseWrapper._connection_pools.values())
    DatabaseWrapper._connection_pools.clear()
    for replicas in DatabaseWrapper._replicas.values():
        if replicas.shared:
            replicas.shared.abandon()
        _inherited.append(replicas)
    DatabaseWrapper._replicas.clear()
    DatabaseWrapper._outages.clear()
    connection_module.open_connections.clear()
    checked_out.clear()
    running_requests.clear()
    watchdog.forget_everything()
    housekeeping.forget_everything()
    hosts.forget_everything()
    for wrapper in connections.all(initialized_only=True):
        if isinstance(wrapper, DatabaseWrapper):
            wrapper.forget_connection()


os.register_at_fork(after_in_child=_forget_everything)
