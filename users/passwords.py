"""How passwords are normalized before they are hashed, and how their length is counted."""

import unicodedata
from typing import Any

from django.contrib.auth import password_validation

MIN_LENGTH = 8
MAX_LENGTH = 128

# Normalization takes time in the square of a text's length, if the text is made for it. NFKC makes
# at most four characters one (U+1F82), so a longer text stays longer than MAX_LENGTH.
LONGEST = 4 * MAX_LENGTH


def normalized(password: str) -> str:
    """The password in NFKC: two devices may send one text in two forms (NIST SP 800-63B-4,
    section 3.1.1.2).

    Unchanged if it is longer than `LONGEST`: the API accepts no such password.
    """
    return unicodedata.normalize("NFKC", password) if len(password) <= LONGEST else password


class MinimumLengthValidator(password_validation.MinimumLengthValidator):
    """Counts the characters that are hashed, as the API does."""

    def validate(self, password: str, user: Any = None) -> None:
        super().validate(normalized(password), user)
