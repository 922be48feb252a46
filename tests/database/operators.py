"""An operator who is logged in to the admin of a server with its own PostgreSQL."""

from datetime import UTC, datetime, timedelta

from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore

from tests.database.servers import PostgreSQL
from users.models import User
from users.sessions import STAFF

SESSION = "thesessionoftheoperator"  # the value of the cookie "sessionid"


def add_operator(server: PostgreSQL) -> None:
    """Add a superuser and a session."""
    server.execute(
        "INSERT INTO users_user (id, email, email_folded, username, username_folded, password,"
        " is_active, is_staff, is_superuser, created_at)"
        " VALUES (1, 'root@example.com', 'root@example.com', 'root', 'root', '!',"
        " true, true, true, now())"
    )
    session = {
        SESSION_KEY: "1",
        BACKEND_SESSION_KEY: "users.backends.LimitedLoginBackend",
        HASH_SESSION_KEY: User(pk=1).get_session_auth_hash(),
        STAFF: True,
    }
    server.execute(
        "INSERT INTO django_session VALUES (%s, %s, %s)",
        [SESSION, SessionStore().encode(session), datetime.now(UTC) + timedelta(days=1)],
    )
