from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.hashers import make_password
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from users.limits.logins import LoginAttempt
from users.models import User
from users.password_queue import password_queue
from users.queries import active_user


class LimitedLoginBackend(ModelBackend):
    """The authentication backend of the API, the site and the admin: limits failed logins, and
    holds one slot of the password queue for a whole login.

    A login is refused before the user is looked up, so the answer says nothing about the user.
    After a correct password, a hash with old parameters is always replaced: the login still holds
    its slot.
    """

    @sensitive_variables("password")
    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **credentials: Any,
    ) -> User | None:
        """Raises LoginRefused and PasswordQueueFull. Without a request there is no client address,
        and failures are not limited."""
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

    def get_user(self, user_id: int) -> User | None:
        """The user of a session, by a prepared query: each page of a person needs it."""
        users = active_user(pk=user_id)
        return users[0] if users else None

    @sensitive_variables()  # all of them: the password may be in either
    async def aauthenticate(self, *arguments: Any, **credentials: Any) -> User | None:
        """Overridden because ModelBackend's version does not call `authenticate()`."""
        return await sync_to_async(self.authenticate)(*arguments, **credentials)

    @sensitive_variables("password")
    def _authenticate(self, email: str, password: str) -> User | None:
        with password_queue.slot():
            try:
                user = User.objects.get_by_natural_key(email)
            except User.DoesNotExist:
                # The base class hashes once here. `check_password()` may hash twice, and an unknown
                # e-mail must take as long.
                user = User(password=make_password(None))
            if user.check_password(password) and self.user_can_authenticate(user):
                return user
        return None
