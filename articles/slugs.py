"""Slugs: the part of an article's URL that identifies the article."""

from collections.abc import Iterator

from django.utils.crypto import get_random_string
from django.utils.text import slugify

SLUG_BASE_LENGTH = 200
SLUG_ENDING_LENGTH = 8
# No vowels, so that no ending is a word. No 0, 1 and l, which are easy to confuse.
SLUG_ENDING_ALPHABET = "bcdfghjkmnpqrstvwxz23456789"


def slugs_for(title: str, except_for: str = "") -> Iterator[str]:
    """Yield slugs for a title forever: first its words, then the words with random endings.

    A title without Latin letters and digits has no words for a URL: its slugs begin with
    "article". "feed" is never a slug, because it is a route.
    """
    words = slugify(title)[:SLUG_BASE_LENGTH].strip("-_")
    if words not in ("", "feed", except_for):
        yield words
    while True:
        ending = get_random_string(SLUG_ENDING_LENGTH, SLUG_ENDING_ALPHABET)
        yield f"{words or 'article'}-{ending}"
