"""What a process that was forked must not touch: it is its parent's."""

import os
from typing import Any

from django.db import connections

from database.backend import connection as sessions
from database.backend import housekeeping
from database.backend.base import DatabaseWrapper
from database.backend.checkouts import checked_out
from database.backend.running import running_requests
from database.backend.watchdog import watchdog

# Referenced for ever: what is closed when it is collected may be somebody else's by then.
_inherited: list[Any] = []


def _drop_what_is_the_parents() -> None:
    """After a fork: the parent's sockets must not be used, closed with a word to the server,
    or shut; and its threads, which a pool waits for, do not exist here."""
    for session in list(sessions.opened):
        session.abandon()
        _inherited.append(session)
    _inherited.extend(DatabaseWrapper._connection_pools.values())
    DatabaseWrapper._connection_pools.clear()
    DatabaseWrapper._outages.clear()
    sessions.opened.clear()
    checked_out.clear()
    running_requests.clear()
    watchdog.forget_everything()
    housekeeping.forget_everything()
    for wrapper in connections.all(initialized_only=True):
        if isinstance(wrapper, DatabaseWrapper):
            wrapper.forget_connection()


os.register_at_fork(after_in_child=_drop_what_is_the_parents)
