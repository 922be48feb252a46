from rest_framework import serializers

from profiles.models import Profile


class ProfileSerializer(serializers.Serializer[Profile]):
    """Somebody as `seen_by()` has fetched them, with `following`."""

    username = serializers.CharField()
    bio = serializers.CharField()
    image = serializers.CharField()
    following = serializers.BooleanField()
