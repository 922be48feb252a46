"""The constraints of input that drf-spectacular cannot find in the fields of serializers.

The patterns are regular expressions of ECMA-262 with the flag "u", as JSON Schema has them.
"""

from typing import Any

import regex
from rest_framework.serializers import CharField, Field

from articles.entries import MOST_TAGS
from articles.serializers import Before, Limit, TagList
from articles.texts import INVISIBLE, one_line, visible
from config.openapi.schemas import Json
from database.models import KEY_LENGTH
from users.names import IGNORABLE
from users.serializer_fields import Email, Text


def _characters(class_of: regex.Pattern[str]) -> str:
    r"""The characters that match, up to U+FFFF, as a part of a character class: `\u0009-\u000d…`.
    Few programs know `\p{Default_Ignorable_Code_Point}`."""
    spans = (found.span() for found in class_of.finditer("".join(map(chr, range(0x10000)))))
    return "".join(rf"\u{start:04x}-\u{end - 1:04x}" for start, end in spans if start < end)


_INVISIBLE = _characters(INVISIBLE)
_IGNORABLE = _characters(IGNORABLE)
# Control characters and line separators.
_NOT_IN_A_LINE = r"\u0000-\u001f\u007f-\u009f\u2028\u2029"

NO_NUL = r"^[^\u0000]*$"
NOT_BLANK = r"^[^\u0000]*[^\s\u0000][^\u0000]*$"
VISIBLE = rf"^[^\u0000]*[^{_INVISIBLE}\u0000][^\u0000]*$"
# White space around it is removed.
ONE_LINE = rf"^\s*[^{_NOT_IN_A_LINE}]*[^{_INVISIBLE}{_NOT_IN_A_LINE}][^{_NOT_IN_A_LINE}]*\s*$"
USERNAME = (
    rf"^(?!.*[{_IGNORABLE}])"
    r"\s*[._+\-]*(\p{L}\p{M}*|\p{Nd})(\p{L}\p{M}*|\p{Nd}|[._+\-])*\s*$"
)
PATH_PART: Json = {"type": "string", "pattern": r"^[^/\u0000]+$"}
PAGE_KEY = "^[A-Za-z0-9_-]{32}$"
IDEMPOTENCY_KEY = rf"^[!-~]([ -~]{{0,{KEY_LENGTH - 2}}}[!-~])?$"

# The query parameters.
DESCRIPTIONS = {
    "tag": "Only articles with this tag.",
    "author": "Only articles of the user with this name.",
    "favorited": "Only articles that the user with this name likes.",
    "limit": "The size of the page.",
    "offset": "How many rows to skip.",
    "before": "Where the page begins: the key in the `Link` of the page before. It replaces "
    "`offset`.",
}


def constraints(field: Field[Any, Any, Any, Any]) -> Json:
    """Keywords of JSON Schema for the value of this field of a serializer."""
    match field:
        case Email():
            return {"format": "email", "minLength": 1}
        case Text(field_name="username"):
            return {"pattern": USERNAME}
        case Text():
            return _text(field)
        case Limit():
            return {"maximum": field.largest, "format": "int32"}
        case Before():
            return {"pattern": PAGE_KEY}
        case TagList():
            return {"maxItems": MOST_TAGS}
    return {}


def parameter(field: Field[Any, Any, Any, Any]) -> Json:
    """The same for a query parameter, with its description."""
    return {**constraints(field), "description": DESCRIPTIONS[str(field.field_name)]}


def _text(field: CharField) -> Json:
    if field.allow_blank:
        return {"pattern": NO_NUL}
    if one_line in field.validators:
        return {"pattern": ONE_LINE}
    return {"pattern": VISIBLE if visible in field.validators else NOT_BLANK}
