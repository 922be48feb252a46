"""Comments: the remarks of readers on an article, and the answers of its author."""

from random import Random

from articles.demo.people import Person
from articles.demo.vocabulary import Vocabulary
from articles.demo.writing import MINUTES, YEARS, Draft

# The weight of each kind of comment. "remarks" are the remarks of the subject.
KINDS = {"thanks": 34, "remarks": 22, "adding": 18, "asking": 18, "doubting": 8}


class Thread:
    """The comments on one article, in the order of time."""

    def __init__(self, rng: Random, words: Vocabulary, draft: Draft, last_month: str) -> None:
        self._rng = rng
        self._kinds = words.comments | {"remarks": draft.subject.remarks}
        self._draft = draft
        self._last_month = last_month
        self._said: set[str] = set()
        self._untold = list(draft.facts)

    def say(self, person: Person) -> str:
        """The next comment, by this person. The author of the article replies."""
        (kind,) = self._rng.choices(list(KINDS), list(KINDS.values()))
        if person is self._draft.author:
            kind = "replying"
        elif kind == "adding" and not self._untold:
            kind = "asking"
        return self._fresh(kind, person)

    def _fresh(self, kind: str, person: Person) -> str:
        """A sentence that is new in this thread, if one of four tries finds one."""
        for _ in range(4):
            sentence = self._rng.choice(self._kinds[kind])
            if sentence not in self._said:
                break
        self._said.add(sentence)
        return sentence.format_map(
            self._draft.slots
            | {
                "author": self._draft.author.given,
                "fact": self._untold.pop() if kind == "adding" else "",
                "place": person.place,
                "years": self._rng.choice(YEARS),
                "minutes": self._rng.choice(MINUTES),
                "month": self._last_month,
            }
        )
