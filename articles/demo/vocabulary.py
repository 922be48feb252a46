"""Reads the words of the made-up site from `words/`."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

WORDS = Path(__file__).with_name("words")


@dataclass(frozen=True, slots=True, eq=False)
class Topic:
    """The topic of an article. Facts are whole sentences that make sense in any order."""

    name: str
    doing: str
    tags: list[str]
    titles: list[str]
    facts: list[str]
    steps: list[str]
    code: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A field that people write about. `share` is its weight among the subjects."""

    name: str
    share: float
    tag: str
    side_tags: list[str]
    language: str
    handles: list[str]
    bios: list[str]
    scenes: list[str]
    reflections: list[str]
    quotes: list[list[str]]  # pairs of a quote and its author
    remarks: list[str]
    links: list[list[str]]  # pairs of a label and a URL
    topics: list[Topic]


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    """The form of an article, independent of its topic: a guide, a list, a story."""

    name: str
    share: float
    own_titles: float
    tag: str
    titles: list[str]
    descriptions: list[str]
    openings: list[str]
    bridges: list[str]
    closings: list[str]
    plans: list[list[list[str]]]  # lists of pairs: headings to choose from, and a block


@dataclass(frozen=True, slots=True, eq=False)
class Country:
    """A country. `native` has pairs of a username and the same name in Latin letters."""

    places: list[str]
    given: list[str]
    family: list[str]
    native: list[list[str]]


@dataclass(frozen=True, slots=True, eq=False)
class Vocabulary:
    subjects: list[Subject]
    forms: list[Form]
    comments: dict[str, list[str]]
    countries: list[Country]


@cache
def vocabulary() -> Vocabulary:
    """All words, read once. Raises TypeError for an unknown or missing key."""
    forms = _read(WORDS / "forms.toml")
    return Vocabulary(
        subjects=[_subject(_read(file)) for file in sorted(WORDS.glob("subjects/*.toml"))],
        forms=[Form(**form) for form in forms["forms"]],
        comments=forms["comments"],
        countries=[Country(**country) for country in _read(WORDS / "countries.toml")["countries"]],
    )


def _read(file: Path) -> dict[str, Any]:
    return tomllib.loads(file.read_text(encoding="utf-8"))


def _subject(words: dict[str, Any]) -> Subject:
    return Subject(**words | {"topics": [Topic(**topic) for topic in words["topics"]]})
