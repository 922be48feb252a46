"""Profiles and follows."""

from typing import Self

from django.db import models
from django.db.models.functions import Coalesce
from django.utils import timezone

from users.model_fields import FoldedQuerySet
from users.models import User, row_exists


class Follow(models.Model):
    """`followed`'s articles are in the feed of `follower`. Deleted when either user is deleted."""

    # No separate index for the follower: the index of `follow_once` begins with this column.
    follower = models.ForeignKey(User, models.DB_CASCADE, related_name="follows", db_index=False)
    followed = models.ForeignKey(User, models.DB_CASCADE, related_name="followers")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["follower", "followed"], name="follow_once"),
            models.CheckConstraint(
                condition=~models.Q(follower=models.F("followed")), name="follow_not_oneself"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.follower} follows {self.followed}"


def following(viewer: int | None, author: str) -> Coalesce | models.Value:
    """Whether the viewer follows the user whose id is in the column `author` of the outer query.

    `viewer` is the id of the user who makes the request, or None for an anonymous user.
    """
    if viewer is None:
        return models.Value(False)
    return row_exists(Follow.objects.filter(follower=viewer, followed=models.OuterRef(author)))


class ProfileQuerySet(FoldedQuerySet["Profile"]):
    def seen_by(self, viewer: int | None) -> Self:
        """The profiles with `following`. Loading any other column later raises an error."""
        return self.annotate(following=following(viewer, "pk")).fetch_mode(models.FETCH_RAISE)


class Profile(User):
    """A user as other users see it. A proxy of User with `following`."""

    following: bool

    objects = ProfileQuerySet.as_manager()  # type: ignore[assignment,misc]  # not UserManager

    class Meta:
        proxy = True
