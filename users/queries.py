"""What every request with a token asks."""

from django.db.models import QuerySet

from database.prepared import prepared
from users.models import User


@prepared(User, indexes=["users_user_pkey"])
def active_user(*, pk: int) -> QuerySet[User]:
    """The one user with this id, if they may log in."""
    return User.objects.filter(pk=pk, is_active=True)
