"""Sessions: how long they last, and which of them a new password keeps.

`begin` runs at each login, of the site and of the admin, which use the same sessions.
"""

from typing import Any

from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, update_session_auth_hash
from django.db import connection
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from users.models import User

STAFF = "staff"  # the key in a session that began as one of staff
EXPIRED_PER_LOGIN = 30


def begin(request: HttpRequest, user: User, **signal: Any) -> None:
    """Set the end of the session of a login."""
    if user.is_staff:
        # A time, and not a number of seconds, which would begin anew with each change.
        request.session.set_expiry(timezone.now() + settings.STAFF_SESSION_LIFETIME)
        request.session[STAFF] = True
    else:
        request.session.set_expiry(None)  # SESSION_COOKIE_AGE
        request.session.pop(STAFF, None)
    delete_expired()


def is_of_staff(request: HttpRequest) -> bool:
    """Whether the session has the short life of staff sessions. The session of a user who has
    become staff since the login has not."""
    return STAFF in request.session


def delete_expired(limit: int = EXPIRED_PER_LOGIN) -> int:
    """Delete at most `limit` of the oldest expired sessions; return how many.

    One statement, which waits for no lock. The default is more than the one row that a login adds,
    so that a backlog shrinks. The array enforces the limit: PostgreSQL may run the subquery of a
    plain `IN` several times.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            DELETE FROM django_session WHERE session_key = ANY(ARRAY(
                SELECT session_key FROM django_session WHERE expire_date < %s
                ORDER BY expire_date LIMIT %s FOR UPDATE SKIP LOCKED
            ))
            """,
            [timezone.now(), limit],
        )
        deleted: int = cursor.rowcount
    return deleted


class Session:
    """The session of a request, as the login that a new password keeps."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    def is_current(self, user: User) -> bool:
        """Whether the session is still valid for its user. A new password ends other sessions."""
        hash = self._request.session.get(HASH_SESSION_KEY, "")
        return constant_time_compare(hash, user.get_session_auth_hash())

    def keep(self, user: User) -> None:
        """Make the session valid for the new generation of the user. It gets a new key."""
        update_session_auth_hash(self._request, user)
