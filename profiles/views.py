from django.http import HttpResponse
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from database.requests import rebuildable
from profiles.follows import follow, unfollow
from profiles.models import Profile
from profiles.queries import ProfileRow, profile_named, profile_with_id
from profiles.representations import profile
from users.authentication import TokenRequired, authenticated_user, refuse_deleted_account
from users.limits.throttles import RateThrottle
from users.names import nfc
from users.reads import ReadMixin
from users.serializer_fields import refuse_nul
from users.viewers import ViewerMixin, rows_for_viewer


class ProfileViewSet(ViewerMixin, ReadMixin, GenericViewSet[Profile]):
    envelope = "profile"
    throttle_classes = (RateThrottle,)
    throttle_scope = "follow"
    lookup_field = "username"
    # The router's default pattern does not allow a dot.
    lookup_value_regex = "[^/]+"

    def retrieve(self, request: Request, username: str) -> HttpResponse:
        return self.answer(profile(self._named(username)))

    @action(detail=True, methods=["post"], permission_classes=[TokenRequired])
    def follow(self, request: Request, username: str) -> Response:
        followed = self._named(username)
        follow(authenticated_user(request), followed)
        shown = profile(followed._replace(following=True))
        return rebuildable(Response(shown), followed.pk)

    @follow.mapping.delete
    def unfollow(self, request: Request, username: str) -> Response:
        followed = self._named(username)
        if not unfollow(authenticated_user(request), followed):
            refuse_deleted_account(request)
        return Response(profile(followed._replace(following=False)))

    def rebuild(self, request: Request, pk: int) -> Response:
        return Response(profile(_first_or_404(profile_with_id(pk=pk, viewer=request.user.pk))))

    def _named(self, username: str) -> ProfileRow:
        refuse_nul(username, self.envelope)
        return _first_or_404(rows_for_viewer(self.request, profile_named, username=nfc(username)))


def _first_or_404(rows: list[ProfileRow]) -> ProfileRow:
    if not rows:
        raise NotFound
    return rows[0]
