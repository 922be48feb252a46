"""People: names from many countries, a town, and subjects to write about."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from urllib.parse import quote

from articles.demo.vocabulary import Country, Subject, Vocabulary

EDITOR, READER = "editor", "johndoe"
NATIVE_SCRIPT = 0.12
SUBJECT_IN_NAME = 0.15
BIO, IMAGE = 0.85, 0.7
STYLES = (
    "{given}.{family}",
    "{given}{family}",
    "{given}_{family}",
    "{given}-{family}",
    "{given[0]}{family}",
    "{given}.{family[0]}",
    "{given}{year}",
    "{given}.{family}{year}",
    "{family}.{given}",
)
MAILBOXES = ("example.com", "example.com", "example.org", "example.net")
COLOURS = [
    "7a4b3a",
    "2f6b5e",
    "3b5b8c",
    "8a5a9e",
    "b0663c",
    "4a7a3d",
    "a34a5e",
    "5a5f73",
    "2d7d9a",
    "94802c",
]
AVATAR = (
    "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 40 40'>"
    "<rect width='40' height='40' fill='#{colour}'/>"
    "<text x='20' y='26' font-family='sans-serif' font-size='17' text-anchor='middle'"
    " fill='#fff'>{initials}</text></svg>"
)


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    username: str
    email: str
    given: str
    place: str
    subjects: list[Subject]  # the first is the subject of most of their articles
    bio: str | None = None
    image: str | None = None


def known_people(words: Vocabulary) -> list[Person]:
    """The two people who can log in: the editor of the site and an ordinary reader."""
    by_tag = {subject.tag: subject for subject in words.subjects}
    editor = Person(
        username=EDITOR,
        email="editor@example.com",
        given="Robin",
        place="Utrecht",
        subjects=[by_tag["teamwork"], by_tag["history"]],
        bio="Keeps this place tidy. Write to me when something looks wrong.",
        image=_avatar("RE", COLOURS[7]),
    )
    reader = Person(
        username=READER,
        email="john@example.com",
        given="John",
        place="Halifax",
        subjects=[by_tag["python"], by_tag["webdev"], by_tag["cycling"]],
        bio="Back-end developer, slow cyclist, fast reader.",
        image=_avatar("JD", COLOURS[2]),
    )
    return [editor, reader]


def strangers(rng: Random, words: Vocabulary) -> Iterator[Person]:
    """Yield people forever. Two people may have the same name."""
    shares = [subject.share for subject in words.subjects]
    while True:
        country = rng.choice(words.countries)
        liked = rng.choices(words.subjects, shares, k=rng.choice((1, 2, 2, 3)))
        subjects = list(dict.fromkeys(liked))
        username, latin, given, initials = _names(rng, country, subjects[0])
        place = rng.choice(country.places)
        bio = _bio(rng, subjects, place) if rng.random() < BIO else None
        image = _avatar(initials, rng.choice(COLOURS)) if rng.random() < IMAGE else None
        email = f"{latin.lower()}@{rng.choice(MAILBOXES)}"
        yield Person(username, email, given, place, subjects, bio, image)


def _names(rng: Random, country: Country, subject: Subject) -> tuple[str, str, str, str]:
    """The username, the username in Latin letters, the first name, and the initials."""
    if country.native and rng.random() < NATIVE_SCRIPT:
        username, latin = rng.choice(country.native)
        if rng.random() < 0.5:
            year = str(rng.randrange(60, 100))
            username, latin = username + year, latin + year
        given, _, family = latin.partition(".")
        return username, latin, given.capitalize(), (given[0] + family[:1]).upper()
    given, family = rng.choice(country.given), rng.choice(country.family)
    styles = subject.handles if rng.random() < SUBJECT_IN_NAME else STYLES
    years = (rng.randrange(60, 100), rng.randrange(1960, 2006), rng.randrange(1, 1000))
    names = {"given": given.lower(), "family": family.lower(), "year": rng.choice(years)}
    username = rng.choice(styles).format_map(names)
    if rng.random() < 0.1:
        username = f"{given}{family}"
    return username, username, given, given[0] + family[0]


def _bio(rng: Random, subjects: list[Subject], place: str) -> str:
    about = rng.choice(subjects[0].bios)
    others = " and ".join(subject.name for subject in subjects[1:])
    endings = [place + ".", f"Lives in {place}.", f"Based in {place}.", ""]
    if others:
        endings += [f"Also here for {others}.", f"{place}. Sometimes about {others}, too."]
    return f"{about} {rng.choice(endings)}".strip()


def _avatar(initials: str, colour: str) -> str:
    """Initials on a colour, as a data URL: a browser shows it without another request."""
    svg = AVATAR.format(initials=initials, colour=colour)
    return "data:image/svg+xml," + quote(svg, safe="/:='")
