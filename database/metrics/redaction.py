"""The text of an SQL statement without its values."""

import re

MAX_INSPECTED = 20_000  # characters of a statement

# The values: strings, also of the forms E'…', B'…', U&'…' and $tag$…$tag$, and numbers. A value
# whose end was cut off reaches to the end of the text. The alternatives are tried in this order.
_TOKEN = re.compile(
    r"""
    (?P<kept> "(?:[^"]|"")*"? | \$\d+ )                   # a name in quotes, or a parameter
    | (?P<comment> --[^\n]* | /\*.*?(?:\*/|\Z) )
    | (?P<value>
        [eE]'(?:[^'\\]|\\.|'')*(?:'|\\?\Z)
        | (?:[bBxXnN]|[uU]&)?'(?:[^']|'')*'?
        | \$(?P<tag>(?:[^\W\d]\w*)?)\$.*?(?:\$(?P=tag)\$|\Z)
        | \d[\w.]*
    )
    | (?P<name> [^\W\d]\w* )
    """,
    re.VERBOSE | re.DOTALL,
)
# A list of values or parameters, such as that of IN: its length would make each text different.
_LIST = re.compile(r"(\?|%s)(?:\s*,\s*\1)+")


def without_values(statement: str, length: int) -> str:
    """The statement on one line, with "?" for each value and without comments, cut to `length`
    characters. So two executions with other values have the same text."""
    text = _TOKEN.sub(_replacement, statement[:MAX_INSPECTED])
    text = " ".join(_LIST.sub(r"\1, …", text).split())
    return text if len(text) <= length else text[: length - 1] + "…"


def _replacement(match: re.Match[str]) -> str:
    if match["value"]:
        return "?"
    return " " if match["comment"] else match[0]
