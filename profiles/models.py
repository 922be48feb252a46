"""People as others see them, and who follows whom."""

from typing import Any, NamedTuple, Protocol, Self

from django.db import models
from django.db.models.functions import Coalesce
from django.utils import timezone

from users.model_fields import FoldedQuerySet
from users.models import User


class Viewer(Protocol):
    """Whoever looks: a user, or somebody without a name, whose `pk` is None."""

    @property
    def pk(self) -> int | None: ...


class ViewerId(NamedTuple):
    """A viewer of whom nothing else is known."""

    pk: int | None


class FollowQuerySet(models.QuerySet["Follow"]):
    def by(self, viewer: Viewer) -> Self:
        """What the viewer follows; nothing for somebody without a name."""
        return self.filter(follower=viewer.pk)


class Follow(models.Model):
    """`follower` wants to read what `followed` writes. It goes with either of them."""

    # No index of its own for the follower: `follow_once` begins with that column.
    follower = models.ForeignKey(User, models.DB_CASCADE, related_name="follows", db_index=False)
    followed = models.ForeignKey(User, models.DB_CASCADE, related_name="followers")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = FollowQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["follower", "followed"], name="follow_once"),
            models.CheckConstraint(
                condition=~models.Q(follower=models.F("followed")), name="follow_not_oneself"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.follower_id} follows {self.followed_id}"


def following(viewer: Viewer, author: str) -> Coalesce | models.Value:
    """Whether the viewer follows the person whose id stands in the column `author`."""
    if viewer.pk is None:
        return models.Value(False)
    return there_is(Follow.objects.by(viewer).filter(followed=models.OuterRef(author)))


def there_is(rows: models.QuerySet[Any]) -> Coalesce:
    """Whether a row of the outer query has one of these: a look into an index for each row.

    For an EXISTS, PostgreSQL may fetch all that the viewer has instead, and look the rows of
    the page up in them: ten thousand favorites, for a page of twenty articles.
    """
    return Coalesce(models.Subquery(rows.values_list(models.Value(True))[:1]), False)


class ProfileQuerySet(FoldedQuerySet["Profile"]):
    def seen_by(self, viewer: Viewer) -> Self:
        """Profiles with `following`, in one statement; any further look-up is an error."""
        return self.annotate(following=following(viewer, "pk")).fetch_mode(models.FETCH_RAISE)


class Profile(User):
    """A user as others see it: the same row under another name, with `following`."""

    following: bool

    objects = ProfileQuerySet.as_manager()  # type: ignore[assignment,misc]  # not UserManager

    class Meta:
        proxy = True
