"""Authentication by `Authorization: Token <jwt>` or `Bearer <jwt>`, and which requests need it."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from django.db import connection
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import resolve
from django.utils.cache import patch_vary_headers
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException, AuthenticationFailed, NotAuthenticated
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from users import tokens
from users.models import User
from users.queries import active_user

if TYPE_CHECKING:
    # DRF imports this module while it creates the class APIView.
    from rest_framework.views import APIView

SCHEMES = ("token", "bearer")
MISSING, VALID = "missing", "valid"


class TokenAuthentication(BaseAuthentication):
    """Treats a request with an invalid token as anonymous, like one without a token.

    Sets `token_status` on Django's request to MISSING, VALID or the code of the error.
    `refusal` uses it to name the error, and `token_headers` to set headers.
    """

    def authenticate(self, request: Request) -> tuple[User, tokens.Token] | None:
        token = signed_token(request)
        user = token and user_of(token, active_user(pk=token.user_id), request)
        return (user, token) if user and token else None

    def authenticate_header(self, request: Request) -> str:
        """The challenge of a 401. Without one, DRF answers 403."""
        return "Token"


def signed_token(request: Request) -> tokens.Token | None:
    """The token in the header, if its signature is good. Sets `token_status`; VALID holds only if
    `user_of` finds the user."""
    header = request.META.get("HTTP_AUTHORIZATION", "").split()
    if not header:
        _set_status(request, MISSING)
        return None
    try:
        if len(header) != 2 or header[0].lower() not in SCHEMES:
            raise tokens.InvalidToken
        token = tokens.read(header[1])
    except tokens.InvalidToken as error:
        _set_status(request, error.code)
        return None
    _set_status(request, VALID)
    return token


def user_of(token: tokens.Token, users: list[User], request: Request) -> User | None:
    """The user that `active_user` found for the token. None if it found none, or if the token has
    ended; then `token_status` says so."""
    if users and token.is_current(users[0]):
        return users[0]
    _set_status(request, tokens.InvalidToken.code)
    return None


def _set_status(request: Request, status: str) -> None:
    request._request.token_status = status  # type: ignore[attr-defined]  # ours


def authenticated_user(request: Request) -> User:
    """The user of the token. Raises NotAuthenticated without a token, or AuthenticationFailed if
    it is invalid."""
    if isinstance(request.user, User):
        return request.user
    raise refusal(request)


def refusal(request: Request) -> APIException:
    """The error of a request without a valid token."""
    status = getattr(request, "token_status", MISSING)
    return NotAuthenticated() if status == MISSING else AuthenticationFailed(code=status)


def account_was_deleted(request: Request) -> bool:
    """Whether the account of a writing request was deleted since the request began.

    The errors of such a write do not show it: they are the same as for a deleted article. Runs one
    query.
    """
    if request.method in SAFE_METHODS or not isinstance(request.user, User):
        return False
    # Inside a transaction, the query could fail because the transaction has failed. There it is not
    # needed either: only requests with an Idempotency-Key run in a transaction, and the row of the
    # key refers to the account, so the account cannot be deleted before the transaction ends.
    return not connection.in_atomic_block and not active_user(pk=request.user.pk)


def refuse_deleted_account(request: Request) -> None:
    """Call it after a write that changed no row. Raises AuthenticationFailed."""
    if account_was_deleted(request):
        raise AuthenticationFailed


class TokenRequired(BasePermission):
    """Refuses every request without a valid token with 401."""

    def has_permission(self, request: Request, view: "APIView") -> bool:
        authenticated_user(request)
        return True


class TokenRequiredToWrite(TokenRequired):
    """Allows all reads, even with an invalid token. A write needs a valid token."""

    def has_permission(self, request: Request, view: "APIView") -> bool:
        return request.method in SAFE_METHODS or super().has_permission(request, view)


def token_user(request: HttpRequest) -> User | None:
    """The user of the token. None without a valid token, and for a view that ignores tokens. Runs
    one query.

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
    """Middleware: marks answers that depend on the token for caches, and tells a client that its
    token is invalid. RFC 9110, section 11.6.1, allows the challenge on any status."""

    def respond(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        status = getattr(request, "token_status", None)
        if status is None:  # the view does not use tokens
            return response
        patch_vary_headers(response, ["Authorization"])
        if status == VALID:
            response.headers["Cache-Control"] = "private, no-cache"
        elif status != MISSING:
            response.headers.setdefault("WWW-Authenticate", 'Token error="invalid_token"')
        return response

    return respond
