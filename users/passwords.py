"""How passwords are normalized before they are hashed, and how their length is counted."""

import unicodedata
from typing import Any

from django.contrib.auth import password_validation

MIN_LENGTH = 8
MAX_LENGTH = 128
MAX_INPUT_LENGTH = 4 * MAX_LENGTH  # characters; the reason is in users.names


def normalize_password(password: str) -> str:
    """The password in NFKC: two devices may encode the same password in different ways (NIST SP
    800-63B-4, section 3.1.1.2).

    Unchanged if it is too long in any form. The API accepts no such password.
    """
    too_long = len(password) > MAX_INPUT_LENGTH
    return password if too_long else unicodedata.normalize("NFKC", password)


class MinimumLengthValidator(password_validation.MinimumLengthValidator):
    """Counts the characters of the normalized password, as the API does."""

    def validate(self, password: str, user: Any = None) -> None:
        super().validate(normalize_password(password), user)
