"""Articles with their tags, comments and favorites."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import batched

from django.db import reset_queries

from articles.demo.calendar import DAY, later, rising
from articles.demo.chance import dice, shares
from articles.demo.population import READER, Population
from articles.demo.remarks import Thread
from articles.demo.size import Size
from articles.demo.tables import copy, new_ids, new_slugs
from articles.demo.vocabulary import vocabulary
from articles.demo.writing import Draft, Writer
from articles.models import Article, Comment, Favorite, Tag, Tagging

BATCH = 1000  # articles: a few megabytes of text
EDITED, ANSWERED = 0.2, 0.15  # probabilities


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """An article before it is loaded."""

    id: int
    slug: str
    moment: float
    author: int  # index in the population
    draft: Draft
    comments: int
    favorites: int


class Publication:
    def __init__(self, seed: int, size: Size, population: Population) -> None:
        self.tag_ids: dict[str, int] = {}
        self._seed = seed
        self._size = size
        self._population = population
        self._calendar = population.calendar
        self._writer = Writer(dice(seed, "writing"), vocabulary())
        self._slugs = dice(seed, "slugs")
        self._authors = dice(seed, "authors")
        self._edits = dice(seed, "edits")
        self._comments = dice(seed, "comments")
        self._favorites = dice(seed, "favorites")

    def load(self) -> Iterator[int]:
        """Add everything; yields the number of articles of each batch."""
        size = self._size
        if not size.articles:
            return
        comments = shares(dice(self._seed, "talk"), size.comments, size.articles, size.comments)
        favorites = shares(dice(self._seed, "fame"), size.favorites, size.articles, size.users)
        moments = rising(dice(self._seed, "times"), size.articles, since=3 * DAY, bend=0.7)
        drafts = (self._draft(number, moment) for number, moment in enumerate(moments))
        for batch in batched(zip(drafts, comments, favorites, strict=True), BATCH):
            self._load(self._pieces(batch))
            reset_queries()  # with DEBUG on, Django keeps all statements in memory
            yield len(batch)

    def _draft(self, number: int, moment: float) -> tuple[float, int, Draft]:
        """The moment, the author and the text of an article.

        The first two articles are by johndoe and by the star, so that johndoe always has an
        article and a feed.
        """
        population = self._population
        first = (READER, population.star)
        present = population.number_at(moment)
        author = population.writers.one(self._authors, present)
        author = first[number] if number < len(first) else author
        last_month = self._calendar.month_before(moment)
        return moment, author, self._writer.write(population.people[author], last_month)

    def _pieces(self, batch: Sequence[tuple[tuple[float, int, Draft], int, int]]) -> list[Piece]:
        slugs = new_slugs(self._slugs, [draft.title for (_, _, draft), _, _ in batch])
        ids = new_ids(Article, len(batch))
        return [
            Piece(pk, slug, moment, author, draft, comments, favorites)
            for pk, slug, ((moment, author, draft), comments, favorites) in zip(
                ids, slugs, batch, strict=True
            )
        ]

    def _load(self, pieces: list[Piece]) -> None:
        texts = ["slug", "title", "description", "body"]
        fields = ["id", "author", "created_at", "updated_at", *texts]
        copy(Article, fields, map(self._article, pieces))
        names = {name for piece in pieces for name in piece.draft.tags}
        new = Tag.objects.named(names - self.tag_ids.keys())
        self.tag_ids |= {tag.name: tag.pk for tag in new}
        copy(Tagging, ("article", "tag"), self._taggings(pieces))
        fields = ["author", "created_at", "updated_at", "article", "body"]
        copy(Comment, fields, self._comments_on(pieces))
        copy(Favorite, ("user", "article", "created_at"), self._favorites_of(pieces))

    def _article(self, piece: Piece) -> tuple[int, int, datetime, datetime, str, str, str, str]:
        created = updated = self._calendar.instant(piece.moment)
        if self._edits.random() < EDITED:
            updated = self._calendar.instant(later(self._edits, piece.moment, haste=4))
        author_id, draft = self._population.ids[piece.author], piece.draft
        texts = (piece.slug, draft.title, draft.description, draft.body)
        return piece.id, author_id, created, updated, *texts

    def _taggings(self, pieces: list[Piece]) -> Iterator[tuple[int, int]]:
        for piece in pieces:
            for name in piece.draft.tags:
                yield piece.id, self.tag_ids[name]

    def _comments_on(
        self, pieces: list[Piece]
    ) -> Iterator[tuple[int, datetime, datetime, int, str]]:
        rng, population = self._comments, self._population
        for piece in pieces:
            last_month = self._calendar.month_before(piece.moment)
            thread = Thread(rng, vocabulary(), piece.draft, last_month)
            moments = sorted(later(rng, piece.moment, haste=5) for _ in range(piece.comments))
            for number, moment in enumerate(moments):
                present = population.number_at(moment)
                who = population.readers.one(rng, present)
                if number and rng.random() < ANSWERED:
                    who = piece.author
                elif who == piece.author and not number:
                    who = (who + 1) % present  # the first comment is not by the author
                at = self._calendar.instant(moment)
                yield population.ids[who], at, at, piece.id, thread.say(population.people[who])

    def _favorites_of(self, pieces: list[Piece]) -> Iterator[tuple[int, int, datetime]]:
        rng, population = self._favorites, self._population
        for piece in pieces:
            for who in population.readers.several(rng, piece.favorites):
                earliest = max(piece.moment, population.joined[who])
                at = self._calendar.instant(later(rng, earliest, haste=3))
                yield population.ids[who], piece.id, at
