"""`Authorization: Token <jwt>`, or `Bearer <jwt>`, and which requests need one."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.db import connection
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import resolve
from django.utils.cache import patch_vary_headers
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from users import tokens
from users.models import User
from users.queries import active_user

if TYPE_CHECKING:
    # DRF imports this module while it makes the class.
    from rest_framework.views import APIView

SCHEMES = ("token", "bearer")
MISSING, GOOD = "missing", "good"


class TokenAuthentication(BaseAuthentication):
    """A request with a bad token is anonymous, like one without a token.

    `token_status` on Django's request is MISSING, GOOD or the code of the error: `logged_in`
    refuses the request with it, and `token_headers` tells caches and clients.
    """

    def authenticate(self, request: Request) -> tuple[User, tokens.Token] | None:
        noted: Any = request._request
        noted.token_status = MISSING
        # Not from `request.headers`, which copies all of them.
        header = request.META.get("HTTP_AUTHORIZATION", "").split()
        if not header:
            return None
        try:
            authenticated = _user_and_token(header)
        except tokens.InvalidToken as error:
            noted.token_status = error.code
            return None
        noted.token_status = GOOD
        return authenticated

    def authenticate_header(self, request: Request) -> str:
        """The challenge of a 401; without one DRF answers 403."""
        return "Token"


def _user_and_token(header: list[str]) -> tuple[User, tokens.Token]:
    """Raises InvalidToken."""
    if len(header) != 2 or header[0].lower() not in SCHEMES:
        raise tokens.InvalidToken
    token = tokens.read(header[1])
    try:
        users = active_user(pk=token.user_id)
    except OverflowError as error:
        raise tokens.InvalidToken from error
    if not users or not token.is_current(users[0]):
        raise tokens.InvalidToken
    return users[0], token


def logged_in(request: Request) -> User:
    """The user of the token; raises NotAuthenticated or AuthenticationFailed without one."""
    if isinstance(request.user, User):
        return request.user
    status = getattr(request, "token_status", MISSING)
    raise NotAuthenticated if status == MISSING else AuthenticationFailed(code=status)


def account_is_gone(request: Request) -> bool:
    """Whether the writer's account was deleted since the request began. One statement.

    A write then fails with the same errors as if the article had been deleted.
    """
    if request.method in SAFE_METHODS or not isinstance(request.user, User):
        return False
    # PostgreSQL refuses statements in a transaction that has failed. A view runs in a transaction
    # only if the request has an Idempotency-Key. The row of the key refers to the account, so the
    # account cannot be deleted before the transaction ends.
    return not connection.in_atomic_block and not active_user(pk=request.user.pk)


def refuse_if_gone(request: Request) -> None:
    """For a write that found nothing to write; raises AuthenticationFailed."""
    if account_is_gone(request):
        raise AuthenticationFailed


class TokenRequired(BasePermission):
    """Every request needs a good token: 401 without one."""

    def has_permission(self, request: Request, view: "APIView") -> bool:
        logged_in(request)
        return True


class TokenRequiredToWrite(TokenRequired):
    """Everyone may read, with a bad token too; a write needs a good one."""

    def has_permission(self, request: Request, view: "APIView") -> bool:
        return request.method in SAFE_METHODS or super().has_permission(request, view)


def token_user(request: HttpRequest) -> User | None:
    """The user of the token; None without a good one, which the view refuses, and for a view
    that ignores tokens. One statement.

    Raises Http404 for a path without a view.
    """
    view = getattr(resolve(request.path_info).func, "cls", None)
    if view is None or TokenAuthentication not in view.authentication_classes:
        return None
    authenticated = TokenAuthentication().authenticate(Request(request))
    return authenticated and authenticated[0]


def token_headers(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Middleware: tells caches which answers depend on the token, and a client that reads with
    a bad token that it is bad. RFC 9110, section 11.6.1, allows the challenge on any status."""

    def respond(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        status = getattr(request, "token_status", None)
        if status is None:  # nothing looked for a token
            return response
        patch_vary_headers(response, ["Authorization"])
        if status == GOOD:
            response.headers["Cache-Control"] = "private, no-cache"
        elif status != MISSING:
            response.headers.setdefault("WWW-Authenticate", 'Token error="invalid_token"')
        return response

    return respond
