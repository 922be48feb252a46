"""Unicode normalization of text from outside, in bounded time."""

import unicodedata
from typing import Literal


def longest(max_length: int) -> int:
    """A text of more characters than this has more than `max_length` after normalization too.

    NFC and NFKC make at most four characters one, as in U+1F82.
    """
    return 4 * max_length


def normalize(form: Literal["NFC", "NFKC"], text: str, max_length: int) -> str:
    """The text in the normalization form, or unchanged if it can only stay longer than
    `max_length`: an attacker can make a text whose normalization takes time in the square of
    its length."""
    return unicodedata.normalize(form, text) if len(text) <= longest(max_length) else text
