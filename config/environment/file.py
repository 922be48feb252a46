"""Checks a `.env` file before django-environ reads it.

`environ.Env.read_env()` logs a line that it cannot parse, with the secret in it, and continues
without the variable. Here such a line is an error. No message contains a value.
"""

import re
from pathlib import Path

EXAMPLE = Path(__file__).resolve().parents[2] / ".env.example"
# Variables of docker-compose.yml and docker-compose.cluster.yml, which read the same file.
DOCKER_VARIABLES = {
    "POSTGRES_PASSWORD",
    "CONDUIT_OWNER_PASSWORD",
    "CONDUIT_PASSWORD",
    "PATRONI_REPLICATION_PASSWORD",
    "PATRONI_REWIND_PASSWORD",
    "PATRONI_RESTAPI_PASSWORD",
}

# The lines that read_env() of django-environ 0.14 accepts, and indented comments. In a value, "#"
# starts no comment.
_LINE = re.compile(r"\s*(?:#.*)?|(?:export )?[A-Za-z_0-9]+=(?P<value>.*)")
_FIRST_WORD = re.compile(r"\W*(?:export\W+)?(\w*)")
# NUL, and every character except \n that ends a line for str.splitlines(), which read_env() uses.
_CONTROL = re.compile("[\0\v\f\x1c-\x1e\x85\u2028\u2029]")
_BYTE_ORDER_MARK = "\ufeff"


class EnvFileError(Exception):
    """The message is a sentence that says what is wrong with the file, without the full stop."""


def checked_text(file: Path) -> str:
    """Return the text of `file` in a form that `read_env()` can parse.

    Raises OSError, and EnvFileError if the file is not UTF-8 or a line cannot be parsed.
    """
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise EnvFileError(f"{file} is not UTF-8") from error
    for number, line in enumerate(lines, start=1):
        if fault := _fault(line):
            raise EnvFileError(f"Line {number} of {file}{_name(line)} {fault}")
    # read_env() cannot parse a line of spaces, or an indented comment.
    return "\n".join("" if line.strip()[:1] in ("", "#") else line for line in lines)


def _fault(line: str) -> str | None:
    if line.startswith(_BYTE_ORDER_MARK):
        return "starts with a byte order mark: save the file without one"
    if _CONTROL.search(line):
        return "contains a control character"
    match = _LINE.fullmatch(line)
    if match is None:
        return "must read NAME=value, without spaces around the name, or be a comment"
    value = match["value"] or ""
    quote = value[:1]
    if quote not in ("'", '"') or (len(value) > 1 and value.endswith(quote)):
        return None
    if quote in value[1:]:
        return "has text after the closing quote: put the comment on a line of its own"
    # read_env() would cut a value of several lines after the first.
    return "has a quote that is not closed on the same line"


def _name(line: str) -> str:
    """The name of the variable that the line seems to set, if the project knows the variable.

    A part of a key or of a password can look like a name, and must not be shown.
    """
    match = _FIRST_WORD.match(line)
    known = set(DOCKER_VARIABLES)
    if EXAMPLE.exists():  # the Docker image has no such file
        known.update(re.findall("(?m)^([A-Z_]+)=", EXAMPLE.read_text(encoding="utf-8")))
    return f" ({match[1]})" if match and match[1] in known else ""
