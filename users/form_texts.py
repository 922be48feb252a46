"""Texts as forms show them.

Browsers change text in forms: a textarea sends each line break as CRLF, and a one-line input
removes line breaks. If a person changes nothing, the stored text and the text from the browser are
equal as they are shown.
"""

import re
from hashlib import blake2b


def lines_as_shown(text: str) -> str:
    """A text of several lines, with "\\n" line breaks."""
    return re.sub(r"\r\n?", "\n", text)


def line_as_shown(text: str) -> str:
    """A text of one line."""
    return re.sub(r"[\r\n]", "", text)


def digest(shown: str) -> str:
    """A hash with 32 characters. A form contains it instead of a second copy of a text."""
    return blake2b(shown.encode(), digest_size=16).hexdigest()
