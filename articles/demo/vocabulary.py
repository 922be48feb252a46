"""The words of the made-up site, as they stand in `words/`."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

WORDS = Path(__file__).with_name("words")


@dataclass(frozen=True, slots=True, eq=False)
class Topic:
    """What an article is about. Facts are whole sentences that hold in any order."""

    name: str
    doing: str
    tags: list[str]
    titles: list[str]
    facts: list[str]
    steps: list[str]
    code: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A field that people write about; `share` is how popular it is beside the others."""

    name: str
    share: float
    tag: str
    side_tags: list[str]
    language: str
    handles: list[str]
    bios: list[str]
    scenes: list[str]
    reflections: list[str]
    quotes: list[list[str]]  # what is said, and by whom
    remarks: list[str]
    links: list[list[str]]  # what is linked, and its URL
    topics: list[Topic]


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    """A shape that an article can have, whatever it is about: a guide, a list, a story."""

    name: str
    share: float
    own_titles: float
    tag: str
    titles: list[str]
    descriptions: list[str]
    openings: list[str]
    bridges: list[str]
    closings: list[str]
    plans: list[list[list[str]]]  # of pairs: headings to choose from, and a block


@dataclass(frozen=True, slots=True, eq=False)
class Land:
    """Where somebody comes from; `native` pairs a username with its Latin letters."""

    places: list[str]
    given: list[str]
    family: list[str]
    native: list[list[str]]


@dataclass(frozen=True, slots=True, eq=False)
class Vocabulary:
    subjects: list[Subject]
    forms: list[Form]
    comments: dict[str, list[str]]
    lands: list[Land]


@cache
def vocabulary() -> Vocabulary:
    """Everything in `words/`, read once. A key too many or too few is a TypeError."""
    forms = _read(WORDS / "forms.toml")
    return Vocabulary(
        subjects=[_subject(_read(file)) for file in sorted(WORDS.glob("subjects/*.toml"))],
        forms=[Form(**form) for form in forms["forms"]],
        comments=forms["comments"],
        lands=[Land(**land) for land in _read(WORDS / "lands.toml")["lands"]],
    )


def _read(file: Path) -> dict[str, Any]:
    return tomllib.loads(file.read_text(encoding="utf-8"))


def _subject(words: dict[str, Any]) -> Subject:
    return Subject(**words | {"topics": [Topic(**topic) for topic in words["topics"]]})
