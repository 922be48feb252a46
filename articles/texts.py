"""Rules for texts that people write."""

import regex
from django.core.exceptions import ValidationError

# White space as str.strip() knows it, format characters (category Cf), and the characters for
# which fonts show nothing (Default_Ignorable_Code_Point, Unicode Standard, section 5.21).
_INVISIBLE = regex.compile(r"[\s\x1c-\x1f\p{Cf}\p{Default_Ignorable_Code_Point}]*+")
# U+0085 is a control character too. NUL is left out: it has a validator of its own.
_NOT_IN_A_LINE = regex.compile(r"[\x01-\x1f\x7f-\x9f\u2028\u2029]")


def visible(text: str) -> None:
    """Raises ValidationError for a text of nothing but white space, format characters and
    characters that show nothing."""
    if _INVISIBLE.fullmatch(text):
        raise ValidationError("This can't be blank.", code="blank")


def one_line(text: str) -> None:
    """Raises ValidationError for a text that is not `visible`, or that has control characters or
    line separators in it."""
    visible(text)
    if _NOT_IN_A_LINE.search(text):
        raise ValidationError("This must be one line.", code="not_one_line")
