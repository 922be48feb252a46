"""How much of everything."""

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
        """What is wanted, and for every None its usual proportion to the rest.

        Raises ValueError, with a sentence for a person, for numbers that can't be.
        """
        articles = _or(wanted["articles"], ARTICLES)
        users = _or(wanted["users"], max(USERS, articles // ARTICLES_PER_USER))
        comments = articles * COMMENTS_PER_ARTICLE
        # At most half of what can be: everybody liking everything is no default.
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
            raise ValueError("--comments need something to be about: --articles is 0.")
        if self.favorites > self.users * self.articles:
            raise ValueError(
                f"--favorites can't be more than {self.users * self.articles:,}: "
                "each of the users likes each of the articles once at most."
            )
        if self.follows > self.users * (self.users - 1):
            raise ValueError(
                f"--follows can't be more than {self.users * (self.users - 1):,}: "
                "each of the users follows each of the others once at most."
            )


def _or(wanted: int | None, usual: int) -> int:
    return usual if wanted is None else wanted
