"""Who follows whom. The API and the site use these functions."""

from rest_framework.exceptions import ValidationError

from profiles.models import Follow
from profiles.queries import ProfileRow
from users.models import User


def follow(follower: User, followed: ProfileRow) -> None:
    """Raises ValidationError if both are the same user."""
    if followed.pk == follower.pk:
        raise ValidationError({"profile": ["can't follow yourself"]}, code="self_follow")
    # One idempotent statement: two requests at the same time both succeed.
    row = Follow(follower=follower, followed_id=followed.pk)
    Follow.objects.bulk_create([row], ignore_conflicts=True)


def unfollow(follower: User, followed: ProfileRow) -> bool:
    """Whether the follower followed the user before."""
    return bool(Follow.objects.filter(follower=follower, followed=followed.pk).delete()[0])
