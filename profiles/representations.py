"""People as the API shows them. Plain functions: DRF's serializers look at each field of each
row, which takes five times as long, and are for what is written."""

from typing import Any

from profiles.queries import ProfileRow


def profile(row: ProfileRow) -> dict[str, Any]:
    return person(row.username, row.bio, row.image, following=row.following)


def person(username: str, bio: str | None, image: str | None, *, following: bool) -> dict[str, Any]:
    """A profile, also where it is the author of something."""
    return {"username": username, "bio": bio, "image": image, "following": following}
