"""The query that authenticates each request with a token."""

from django.db.models import QuerySet

from database.prepared import prepared
from users.models import User


@prepared(User, indexes=["users_user_pkey"])
def active_user(*, pk: int) -> QuerySet[User]:
    """The user with this id, if active."""
    return User.objects.filter(pk=pk, is_active=True)
