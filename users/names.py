"""How usernames and e-mails are normalized, compared and checked."""

import re
import unicodedata

import regex
from django.core.exceptions import ValidationError

EMAIL_LENGTH = 254
USERNAME_LENGTH = 64

# Characters. NFC and NFKC compose at most four characters into one, for example into U+1F82. So a
# longer text cannot be a username or an e-mail in any normalization form.
MAX_INPUT_LENGTH = 4 * EMAIL_LENGTH

# The field that is taken if a write violates this unique constraint.
TAKEN_FIELDS = {
    "username_folded_once": "username",
    "username_once": "username",
    "email_folded_once": "email",
    "email_once": "email",
}

IGNORABLE = regex.compile(r"\p{Default_Ignorable_Code_Point}+")
# A text of the letters that `_kind()` returns: letters with their marks (many scripts need them),
# digits and signs, with at least one letter or digit.
_USERNAME = re.compile(r"(?=.*[LN])(?:LM*|N|S)+")


def nfc(text: str) -> str:
    """The text in Normalization Form C. Unchanged if it is longer than `MAX_INPUT_LENGTH`: an
    attacker can craft a text whose normalization takes time quadratic in its length."""
    return text if len(text) > MAX_INPUT_LENGTH else unicodedata.normalize("NFC", text)


def fold(text: str) -> str:
    """The name in NFKC case folding: two spellings of one name give the same text, in any script.

    Implements the compatibility caseless match of the Unicode Standard, section 3.13, D146, and
    removes invisible characters as toNFKC_Casefold (D147) does. PostgreSQL's `lower()` cannot do
    this: it depends on the collation, and under "C" it changes only ASCII letters. A later version
    of Unicode gives the same result, except for characters that this version does not assign.
    """
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFD", text).casefold()
    # Fold again, because NFKD can produce capital letters, for example from U+1D400 (bold A).
    folded = unicodedata.normalize("NFKD", folded).casefold()
    return unicodedata.normalize("NFKC", IGNORABLE.sub("", folded))


def validate_username(username: str) -> None:
    """Raises ValidationError unless the username consists of letters of any script with their
    marks, decimal digits and `. _ + -`, has a letter or digit, and no invisible character."""
    if len(username) > USERNAME_LENGTH:
        return  # another validator checks the length
    kinds = "".join(map(_kind, username))
    if not _USERNAME.fullmatch(kinds) or IGNORABLE.search(username):
        raise ValidationError(
            "Use letters, digits and . _ + - only, with at least one letter or digit, and no "
            "invisible characters.",
            code="username_not_allowed",
        )


def _kind(character: str) -> str:
    # `unicodedata` and `fold()` have the same Unicode version. Letters that `fold()` would leave
    # unchanged because they are newer are therefore refused.
    category = unicodedata.category(character)
    if category[0] in "LM":
        return category[0]
    if category == "Nd":
        return "N"
    return "S" if character in "._+-" else "?"
