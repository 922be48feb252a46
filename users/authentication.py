"""`Authorization: Token <jwt>`, or `Bearer <jwt>`."""

from django.http import HttpRequest
from django.urls import resolve
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated
from rest_framework.request import Request

from users import tokens
from users.models import User
from users.queries import active_user

SCHEMES = ("token", "bearer")


class TokenAuthentication(BaseAuthentication):
    """Without the header a request is anonymous; with a bad one it is refused."""

    def authenticate(self, request: Request) -> tuple[User, str] | None:
        # Not from `request.headers`, as DRF's own function has it: that copies all of them.
        header = request.META.get("HTTP_AUTHORIZATION", "").split()
        if not header:
            return None
        if len(header) != 2 or header[0].lower() not in SCHEMES:
            raise AuthenticationFailed
        return self._user(header[1]), header[1]

    def authenticate_header(self, request: Request) -> str:
        """The challenge of a 401; without one DRF answers 403."""
        return "Token"

    def _user(self, token: str) -> User:
        try:
            users = active_user(pk=tokens.user_id(token))
        except tokens.ExpiredToken as error:
            raise AuthenticationFailed(code="token_expired") from error
        except (tokens.InvalidToken, OverflowError) as error:
            raise AuthenticationFailed from error
        if not users:
            raise AuthenticationFailed
        return users[0]


def token_user(request: HttpRequest) -> User | None:
    """Whoever the token names, where the view of the path looks at tokens at all; None for a
    token that is missing or no good, which is the view's to refuse. One statement.

    Raises Http404 for a path without a view.
    """
    view = getattr(resolve(request.path_info).func, "cls", None)
    if view is None or TokenAuthentication not in view.authentication_classes:
        return None
    try:
        authenticated = TokenAuthentication().authenticate(Request(request))
    except AuthenticationFailed:
        return None
    return authenticated and authenticated[0]


def logged_in(request: Request) -> User:
    """Whoever the token of the request names; raises NotAuthenticated without one."""
    if not isinstance(request.user, User):
        raise NotAuthenticated
    return request.user
