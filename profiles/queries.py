"""The prepared queries for profiles."""

from typing import NamedTuple

from django.db.models import QuerySet

from database.prepared import prepared
from profiles.models import Profile


class ProfileRow(NamedTuple):
    pk: int
    username: str
    bio: str | None
    image: str | None
    following: bool


@prepared(ProfileRow, indexes=["username_once"])
def profile_named(*, username: str, viewer: int | None = None) -> QuerySet[Profile]:
    """The profile with exactly this username, if any."""
    return Profile.objects.seen_by(viewer).filter(username=username, hidden_at=None)


@prepared(ProfileRow, indexes=["users_user_pkey"])
def profile_with_id(*, pk: int, viewer: int | None = None) -> QuerySet[Profile]:
    """The profile with this id, if any."""
    return Profile.objects.seen_by(viewer).filter(pk=pk, hidden_at=None)
