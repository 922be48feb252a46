from rest_framework.decorators import action
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from profiles.models import Follow, Profile
from profiles.queries import ProfileRow, profile_named
from profiles.representations import profile
from users.authentication import TokenRequired, logged_in
from users.fields import refuse_nul
from users.limits import RateThrottle


class ProfileViewSet(GenericViewSet[Profile]):
    envelope = "profile"
    throttle_classes = (RateThrottle,)
    throttle_scope = "follow"
    lookup_field = "username"
    # The router's own pattern ends a name at a dot.
    lookup_value_regex = "[^/]+"

    def retrieve(self, request: Request, username: str) -> Response:
        return Response(profile(self._named(username)))

    @action(detail=True, methods=["post"], permission_classes=[TokenRequired])
    def follow(self, request: Request, username: str) -> Response:
        followed = self._named(username)
        follower = logged_in(request)
        if followed.pk == follower.pk:
            raise ValidationError({"profile": ["can't follow yourself"]}, code="self_follow")
        # Idempotent in one statement, also when two requests do it at once.
        follow = Follow(follower=follower, followed_id=followed.pk)
        Follow.objects.bulk_create([follow], ignore_conflicts=True)
        return Response(profile(followed._replace(following=True)))

    @follow.mapping.delete
    def unfollow(self, request: Request, username: str) -> Response:
        followed = self._named(username)
        Follow.objects.by(logged_in(request)).filter(followed=followed.pk).delete()
        return Response(profile(followed._replace(following=False)))

    def _named(self, username: str) -> ProfileRow:
        refuse_nul(username)
        rows = profile_named(username=username, viewer=self.request.user.pk)
        if not rows:
            raise NotFound
        return rows[0]
