"""Users and follows."""

from bisect import bisect
from collections.abc import Iterator
from datetime import datetime
from itertools import chain, islice

from django.contrib.auth.hashers import make_password
from django.db import reset_queries

from articles.demo.calendar import DAY, Calendar, later, rising
from articles.demo.chance import Crowd, dice, shares, shuffled_ranks
from articles.demo.people import EDITOR, Person, known_people, strangers
from articles.demo.size import Size
from articles.demo.tables import copy
from articles.demo.vocabulary import vocabulary
from profiles.models import Follow
from users.models import User
from users.names import fold

BATCH = 1000  # people
# The first three users join before the first article: editor, johndoe, and the star, who has the
# most followers. If editor or johndoe is taken, other people have these places.
READER = 1


class Population:
    """People in the order in which they joined. Other modules use their index in this order."""

    def __init__(self, seed: int, size: Size, until: datetime) -> None:
        self.people: list[Person] = []
        self.ids: list[int] = []
        self.joined: list[float] = []
        self.star = 2 % size.users
        self.calendar = Calendar(until)
        self._seed = seed
        self._size = size
        favored = (self.star, READER)
        writers = shuffled_ranks(dice(seed, "writers"), size.users, favored)
        self.writers = Crowd(writers)
        self.readers = Crowd(shuffled_ranks(dice(seed, "readers"), size.users, (READER,)))

    def number_at(self, moment: float) -> int:
        """The number of people who have joined by this moment."""
        return bisect(self.joined, moment)

    def load_users(self, password: str) -> Iterator[int]:
        """Add the users; yields the number of users of each batch.

        editor and johndoe get `password`, a hash. They are left out if their names are taken.
        """
        size = self._size.users
        first = (6 * 3600.0 * number for number in range(min(3, size)))
        others = rising(dice(self._seed, "joining"), max(0, size - 3), since=DAY, bend=1.0)
        self.joined = [*first, *others]
        known = known_people(vocabulary())
        drawn = chain(known, strangers(dice(self._seed, "people"), vocabulary()))
        while len(self.people) < size:
            missing = size - len(self.people)
            newcomers = _with_free_names(list(islice(drawn, min(BATCH, missing))))
            rows = [
                self._row(person, joined, password if person in known else None)
                for person, joined in zip(newcomers, self.joined[len(self.people) :], strict=False)
            ]
            # Not COPY: there are few users, and bulk_create() also sets their folded names.
            self.ids += [user.pk for user in User.objects.bulk_create(rows)]
            self.people += newcomers
            reset_queries()  # with DEBUG on, Django keeps all statements in memory
            yield len(newcomers)

    def _row(self, person: Person, joined: float, password: str | None) -> User:
        edits = person.username == EDITOR
        return User(
            username=person.username,
            email=person.email,
            password=password or make_password(None),
            bio=person.bio,
            image=person.image,
            is_staff=edits,
            is_superuser=edits,
            created_at=self.calendar.instant(joined),
        )

    def load_follows(self) -> None:
        copy(Follow, ("follower", "followed", "created_at"), self._follows())

    def _follows(self) -> Iterator[tuple[int, int, datetime]]:
        rng = dice(self._seed, "follows")
        counts = shares(rng, self._size.follows, self._size.users, self._size.users - 1)
        # The star and johndoe follow each other and the most people, so that johndoe has a feed
        # and a follower.
        for index in (self.star, READER):
            most = max(range(len(counts)), key=counts.__getitem__)
            counts[index], counts[most] = counts[most], counts[index]
        for follower, count in enumerate(counts):
            always = {READER: self.star, self.star: READER}.get(follower, -1)
            for followed in self.writers.several(rng, count, always=always, never=follower):
                met = max(self.joined[follower], self.joined[followed])
                at = self.calendar.instant(later(rng, met, haste=2))
                yield self.ids[follower], self.ids[followed], at


def _with_free_names(drawn: list[Person]) -> list[Person]:
    """The people whose name and e-mail are not taken, in the database or earlier in the list."""
    names = {fold(person.username) for person in drawn}
    mails = {fold(person.email) for person in drawn}
    users = User.objects.all()
    taken = set(
        users.filter(username_folded__in=names).values_list("username_folded", flat=True)
    ) | set(users.filter(email_folded__in=mails).values_list("email_folded", flat=True))
    free = []
    for person in drawn:
        own = {fold(person.username), fold(person.email)}
        if own.isdisjoint(taken):
            free.append(person)
            taken |= own
    return free
