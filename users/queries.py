"""The queries that find out who makes a request."""

from datetime import datetime

from django.contrib.sessions.models import Session
from django.db.models import QuerySet

from database.prepared import prepared
from users.models import User


@prepared(User, indexes=["users_user_pkey"])
def active_user(*, pk: int) -> QuerySet[User]:
    """The user with this id, if active."""
    return User.objects.filter(pk=pk, is_active=True)


@prepared(Session, indexes=["django_session_pkey"])
def session_with_key(*, session_key: str, now: datetime) -> QuerySet[Session]:
    """The session with this key, unless it has expired."""
    return Session.objects.filter(session_key=session_key, expire_date__gt=now)
