"""Suspending users, and undoing it."""

from typing import Any

from django.db import models, transaction
from django.db.models import F

from users.models import User
from users.visibility_changes import change_visibility, locked, not_being_deleted

type Users = models.QuerySet[User]


def suspend(users: Users, *, with_content: bool) -> bool:
    """Refuse the users' logins, and end their tokens and sessions. With content: hide their
    profiles, articles and comments too. Returns False if that will happen in the background.

    Their favorites and follows still count. Suspended users are those whose `is_active` is false:
    a column of its own would say the same.
    """
    with transaction.atomic():
        users = locked(users)
        # First, because `users` may be a query for active users.
        done = not with_content or change_visibility(users, hide=True)
        _end_sessions(users, is_active=False)
    return done


def reinstate(users: Users) -> bool:
    """Undo `suspend()`. Articles and comments that were hidden one by one stay hidden. Returns
    False if the users will become visible in the background."""
    with transaction.atomic():
        users = not_being_deleted(locked(users))
        done = change_visibility(users, hide=False)
        # Tokens that were issued before stay invalid, also one that a new password had kept.
        _end_sessions(users, is_active=True)
    return done


def _end_sessions(users: Users, **columns: Any) -> None:
    users.update(token_generation=F("token_generation") + 1, kept_token_sha256=None, **columns)
