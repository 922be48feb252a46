from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.hashers import make_password
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from users.lane import lane
from users.limits import LoginAttempt
from users.models import User


class LaneBackend(ModelBackend):
    """Django's backend for the API and the admin, with a limit on failed log-ins, and with one
    place in the lane for a whole log-in.

    A log-in is refused before the user is looked up, so the answer says nothing about the user.
    A password that was right can be hashed again: nothing refuses it in between.
    """

    @sensitive_variables("password")
    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **credentials: Any,
    ) -> User | None:
        """Raises LoginRefused and LaneFull. Without a request there is no address, and no limit
        on failures."""
        email = username or credentials.get(User.USERNAME_FIELD)
        if not email or password is None:
            return None
        if request is None:
            return self._authenticate(email, password)
        attempt = LoginAttempt(request, email)
        attempt.check()
        user = self._authenticate(email, password)
        if user is None:
            attempt.failed()
        else:
            attempt.succeeded(user)
        return user

    @sensitive_variables("password")
    async def aauthenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **credentials: Any,
    ) -> User | None:
        """The same: ModelBackend implements it apart, without the limits."""
        authenticate = sync_to_async(self.authenticate)
        return await authenticate(request, username, password, **credentials)

    @sensitive_variables("password")
    def _authenticate(self, email: str, password: str) -> User | None:
        with lane.place():
            try:
                user = User.objects.get_by_natural_key(email)
            except User.DoesNotExist:
                # The base class hashes once here. A password may be tried in two forms, and an
                # unknown e-mail must take as long.
                user = User(password=make_password(None))
            if user.check_password(password) and self.user_can_authenticate(user):
                return user
        return None
