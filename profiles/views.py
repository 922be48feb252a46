from django.db.models import QuerySet
from rest_framework import mixins
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from profiles.models import Follow, Profile
from profiles.serializers import ProfileSerializer
from users.authentication import logged_in
from users.fields import refuse_nul


class ProfileViewSet(mixins.RetrieveModelMixin, GenericViewSet[Profile]):
    envelope = "profile"
    serializer_class = ProfileSerializer
    lookup_field = "username"
    # The router's own pattern ends a name at a dot.
    lookup_value_regex = "[^/]+"

    def get_queryset(self) -> QuerySet[Profile]:
        return Profile.objects.seen_by(self.request.user)

    def get_object(self) -> Profile:
        refuse_nul(self.kwargs["username"])
        return super().get_object()

    @action(detail=True, methods=["post"], permission_classes=[IsAuthenticated])
    def follow(self, request: Request, username: str) -> Response:
        profile = self.get_object()
        follower = logged_in(request)
        if profile.pk == follower.pk:
            raise ValidationError({"profile": ["can't follow yourself"]}, code="self_follow")
        # Idempotent in one statement, also when two requests do it at once.
        follow = Follow(follower=follower, followed_id=profile.pk)
        Follow.objects.bulk_create([follow], ignore_conflicts=True)
        profile.following = True
        return Response(self.get_serializer(profile).data)

    @follow.mapping.delete
    def unfollow(self, request: Request, username: str) -> Response:
        profile = self.get_object()
        Follow.objects.by(request.user).filter(followed=profile.pk).delete()
        profile.following = False
        return Response(self.get_serializer(profile).data)
