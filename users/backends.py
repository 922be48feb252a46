from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from users.lane import lane
from users.models import User


class LaneBackend(ModelBackend):
    """Django's own, for the API and the admin, with one place in the lane for all of a log-in.

    Whoever is refused is so before the user is looked up, so that it says nothing of the user;
    and a password that was right may be hashed anew, with no chance to be refused in between.
    """

    @sensitive_variables("password")
    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **credentials: Any,
    ) -> User | None:
        """Raises LaneFull."""
        with lane.place():
            return super().authenticate(request, username, password, **credentials)
