"""Reads whose rows depend on the viewer: the user of the token is loaded with the rows."""

from typing import Any

from django.contrib.auth.models import AnonymousUser
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from database.prepared import Prepared, together
from users.authentication import signed_token, user_of
from users.queries import active_user


class ViewerMixin(APIView):
    """A view whose reads get their rows from `rows_for_viewer`, which loads the user too.

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
    if token := signed_token(request):
        call = query.call(**arguments, viewer=token.user_id)
        rows, users = together(call, active_user.call(pk=token.user_id))
        if user := user_of(token, users, request):
            request.user, request.auth = user, token
            return rows
    request.user, request.auth = AnonymousUser(), None
    return query(**arguments)
