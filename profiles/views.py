from django.http import HttpResponse
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from database.requests import rebuildable
from profiles.models import Follow, Profile
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
        follower = authenticated_user(request)
        if followed.pk == follower.pk:
            raise ValidationError({"profile": ["can't follow yourself"]}, code="self_follow")
        # One idempotent statement: two requests at the same time both succeed.
        follow = Follow(follower=follower, followed_id=followed.pk)
        Follow.objects.bulk_create([follow], ignore_conflicts=True)
        shown = profile(followed._replace(following=True))
        return rebuildable(Response(shown), followed.pk)

    @follow.mapping.delete
    def unfollow(self, request: Request, username: str) -> Response:
        followed = self._named(username)
        follower = authenticated_user(request)
        follows = Follow.objects.filter(follower=follower, followed=followed.pk)
        if not follows.delete()[0]:
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
