"""How usernames and e-mails are normalized, compared and checked."""

import re
import unicodedata

import regex
from django.core.exceptions import ValidationError

from users.normalization import longest, normalize

EMAIL_LENGTH = 254
USERNAME_LENGTH = 64

LONGEST = longest(EMAIL_LENGTH)  # characters: a longer text is no name, however it is normalized

# The unique constraints of users, and the field whose value another user has then.
TAKEN_FIELDS = {
    "username_folded_once": "username",
    "username_once": "username",
    "email_folded_once": "email",
    "email_once": "email",
}

_IGNORABLE = regex.compile(r"\p{Default_Ignorable_Code_Point}+")
# Letters with their marks (many scripts need them), digits and signs, by the kinds below.
_USERNAME = re.compile(r"(?=.*[LN])(?:LM*|N|S)+")


def nfc(text: str) -> str:
    """The text in Normalization Form C; unchanged if it is longer than `LONGEST`."""
    return normalize("NFC", text, EMAIL_LENGTH)


def fold(text: str) -> str:
    """One text for all ways to write a name: NFKC case folding, in any script.

    Equal results are the compatibility caseless match of the Unicode Standard, section 3.13,
    D146. Characters that show nothing are left out, as toNFKC_Casefold (D147) does. Python folds,
    not the database: PostgreSQL's `lower()` depends on the collation, and under "C" it knows
    ASCII alone. A later version of Unicode gives the same result, except for characters that
    Python's version does not know yet.
    """
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFD", text).casefold()
    # Once more: NFKD gives capital letters too, as for U+1D400 (a mathematical bold A).
    folded = unicodedata.normalize("NFKD", folded).casefold()
    return unicodedata.normalize("NFKC", _IGNORABLE.sub("", folded))


def username_allowed(username: str) -> None:
    """Raises ValidationError unless it has letters of any script with their marks, decimal digits
    and `. _ + -` only, with a letter or digit among them, and no character that shows nothing.
    """
    if len(username) > USERNAME_LENGTH:
        return  # the maximum length has a validator of its own
    kinds = "".join(map(_kind, username))
    if not _USERNAME.fullmatch(kinds) or _IGNORABLE.search(username):
        raise ValidationError(
            "Use letters, digits and . _ + - only, with at least one letter or digit, and no "
            "invisible characters.",
            code="username_not_allowed",
        )


def _kind(character: str) -> str:
    # From the Unicode version that also folds: a letter that `fold()` does not know is refused.
    category = unicodedata.category(character)
    if category[0] in "LM":
        return category[0]
    if category == "Nd":
        return "N"
    return "S" if character in "._+-" else "?"
