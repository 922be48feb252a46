"""The number of rows of each kind."""

from dataclasses import dataclass
from typing import Self

USERS, ARTICLES = 30, 200
ARTICLES_PER_USER = 20
COMMENTS_PER_ARTICLE, FAVORITES_PER_ARTICLE, FOLLOWS_PER_USER = 3, 6, 8


@dataclass(frozen=True, slots=True)
class Size:
    users: int
    articles: int
    comments: int
    favorites: int
    follows: int

    @classmethod
    def of(cls, **wanted: int | None) -> Self:
        """The wanted numbers. A None is replaced by the default proportion to the others.

        Raises ValueError for impossible numbers, with a message for the user.
        """
        articles = _or(wanted["articles"], ARTICLES)
        users = _or(wanted["users"], max(USERS, articles // ARTICLES_PER_USER))
        comments = articles * COMMENTS_PER_ARTICLE
        # At most half of the possible pairs.
        favorites = min(articles * FAVORITES_PER_ARTICLE, articles * users // 2)
        follows = min(users * FOLLOWS_PER_USER, users * (users - 1) // 2)
        size = cls(
            users=users,
            articles=articles,
            comments=_or(wanted["comments"], comments),
            favorites=_or(wanted["favorites"], favorites),
            follows=_or(wanted["follows"], follows),
        )
        size._check()
        return size

    def _check(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) < 0:
                raise ValueError(f"--{name} can't be negative.")
        if self.users < 2:
            raise ValueError("--users must be 2 or more: editor and johndoe are among them.")
        if self.comments and not self.articles:
            raise ValueError("--comments need articles: --articles is 0.")
        if self.favorites > self.users * self.articles:
            raise ValueError(
                f"--favorites can't be more than {self.users * self.articles:,}: "
                "a user likes an article at most once."
            )
        if self.follows > self.users * (self.users - 1):
            raise ValueError(
                f"--follows can't be more than {self.users * (self.users - 1):,}: "
                "a user follows another user at most once."
            )


def _or(wanted: int | None, default: int) -> int:
    return default if wanted is None else wanted
