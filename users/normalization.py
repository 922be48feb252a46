"""Unicode normalization of user input in bounded time."""

import unicodedata
from typing import Literal


def max_input_length(max_length: int) -> int:
    """The most characters that a text can have if it has `max_length` after normalization.

    NFC and NFKC compose at most four characters into one, for example into U+1F82.
    """
    return 4 * max_length


def normalize(form: Literal["NFC", "NFKC"], text: str, max_length: int) -> str:
    """The text in this normalization form. Unchanged if it is longer than
    `max_input_length(max_length)`: an attacker can craft a text whose normalization takes time
    quadratic in its length."""
    return unicodedata.normalize(form, text) if len(text) <= max_input_length(max_length) else text
