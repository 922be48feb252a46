"""Validators of texts that users write."""

import regex
from django.core.exceptions import ValidationError

# The white space of str.strip(), format characters (category Cf), and characters that fonts do
# not show (Default_Ignorable_Code_Point, Unicode Standard, section 5.21).
INVISIBLE = regex.compile(r"[\s\x1c-\x1f\p{Cf}\p{Default_Ignorable_Code_Point}]*+")
# Control characters, U+0085 included, and line separators. NUL has a separate validator.
_NOT_IN_A_LINE = regex.compile(r"[\x01-\x1f\x7f-\x9f\u2028\u2029]")


def shortened(text: str, length: int) -> str:
    """The start of a text as one line, with "…" if it was longer."""
    line = " ".join(text[: 2 * length].split())
    if len(line) <= length and len(text) <= 2 * length:
        return line
    return line[: length - 1].rstrip() + "…"


def visible(text: str) -> None:
    """Raise ValidationError for a text of only white space and invisible characters."""
    if INVISIBLE.fullmatch(text):
        raise ValidationError("This can't be blank.", code="blank")


def one_line(text: str) -> None:
    """Raise ValidationError for a text that is not `visible`, or that contains control characters
    or line separators."""
    visible(text)
    if _NOT_IN_A_LINE.search(text):
        raise ValidationError("This must be one line.", code="not_one_line")
