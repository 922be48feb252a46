"""Reads whose rows depend on the viewer: the user of the token is loaded with the rows."""

from typing import Any

from django.contrib.auth.models import AnonymousUser
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from database.prepared import Prepared, together
from users.authentication import refusal, signed_token, user_of
from users.queries import active_user


class ViewerMixin(APIView):
    """A view whose reads get their rows from one of the functions below, which load the user too.

    A read that ends without rows, with an error for example, loads the user at its end: the headers
    of the answer and the access log show whether the token was valid.
    """

    def perform_authentication(self, request: Request) -> None:
        if request.method not in SAFE_METHODS:
            super().perform_authentication(request)

    def finalize_response(
        self, request: Request, response: Response, *args: Any, **kwargs: Any
    ) -> Response:
        request.user  # noqa: B018 -- DRF loads the user here
        return super().finalize_response(request, response, *args, **kwargs)


def rows_for_viewer[Row](
    request: Request, query: Prepared[..., Row], **arguments: Any
) -> list[Row]:
    """The rows of the query as the user of the token sees them, or without a valid token, as
    everybody sees them. The query has an argument `viewer`, the id of a user.

    Loads the user in the same round trip, unless DRF has loaded the user before.
    """
    if hasattr(request, "token_status"):
        return query(**arguments, viewer=request.user.pk)
    rows = _rows_with_user(request, query, arguments, ["viewer"])
    return query(**arguments) if rows is None else rows


def rows_about_viewer[Row](
    request: Request, query: Prepared[..., Row], about: str, **arguments: Any
) -> list[Row]:
    """Like `rows_for_viewer`, for a query about the viewer: `about` is the name of another argument
    that is the id of the viewer.

    Raises NotAuthenticated without a token, or AuthenticationFailed if it is invalid.
    """
    rows = _rows_with_user(request, query, arguments, ["viewer", about])
    if rows is None:
        raise refusal(request)
    return rows


def _rows_with_user[Row](
    request: Request, query: Prepared[..., Row], arguments: dict[str, Any], user_ids: list[str]
) -> list[Row] | None:
    """The rows for the user of the token, or None without a valid token. Loads the user in the same
    round trip. `user_ids` names the arguments that are the id of the user."""
    if token := signed_token(request):
        call = query.call(**arguments, **dict.fromkeys(user_ids, token.user_id))
        rows, users = together(call, active_user.call(pk=token.user_id))
        if user := user_of(token, users, request):
            request.user, request.auth = user, token
            return rows
    request.user, request.auth = AnonymousUser(), None
    return None
