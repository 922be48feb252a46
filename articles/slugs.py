"""The part of an article's URL that names the article."""

from collections.abc import Iterator

from django.utils.crypto import get_random_string
from django.utils.text import slugify

SLUG_BASE_LENGTH = 200
SLUG_ENDING_LENGTH = 8
# Without vowels no ending spells a word. Without 0, 1 and l none is misread.
SLUG_ENDING_ALPHABET = "bcdfghjkmnpqrstvwxz23456789"


def slugs_for(title: str, except_for: str = "") -> Iterator[str]:
    """Yield slugs for a title, without end: first its words, then the words with random endings.

    A title without a Latin letter or a digit has no words for a URL. `feed` is a route.
    """
    words = slugify(title)[:SLUG_BASE_LENGTH].strip("-_")
    if words not in ("", "feed", except_for):
        yield words
    while True:
        ending = get_random_string(SLUG_ENDING_LENGTH, SLUG_ENDING_ALPHABET)
        yield f"{words or 'article'}-{ending}"
