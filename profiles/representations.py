"""Profiles in the JSON of responses. `articles.representations` says why not by serializers."""

from typing import Any

from profiles.queries import ProfileRow


def profile(row: ProfileRow) -> dict[str, Any]:
    return person(row.username, row.bio, row.image, following=row.following)


def person(username: str, bio: str | None, image: str | None, *, following: bool) -> dict[str, Any]:
    """A profile, or the author of an article or a comment."""
    return {"username": username, "bio": bio, "image": image, "following": following}
