"""The text fields of every serializer: stricter about types than DRF's."""

from typing import Any

from django.core.validators import EmailValidator
from django.http import Http404
from rest_framework import serializers

from users.names import EMAIL_LENGTH, nfc
from users.passwords import MAX_LENGTH, MIN_LENGTH, normalized


class Text(serializers.CharField):
    """A JSON string, and nothing that could be turned into one; never only white space
    unless `allow_blank`. NUL is refused by the base class."""

    default_error_messages = {
        "not_a_string": "must be a string",
        "max_length": "is too long (maximum is {max_length} characters)",
        "min_length": "is too short (minimum is {min_length} characters)",
    }

    def run_validation(self, data: Any = serializers.empty) -> Any:
        # The base class takes white space for blank only where it trims.
        if isinstance(data, str) and not data.strip() and not self.allow_blank:
            self.fail("blank")
        return super().run_validation(data)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("not_a_string")
        return super().to_internal_value(data)


class LongText(Text):
    """A text whose white space is kept as it is."""

    def __init__(self, **options: Any) -> None:
        super().__init__(trim_whitespace=False, **options)


class Name(Text):
    """A username or an e-mail, in NFC; its length is counted afterwards."""

    def to_internal_value(self, data: Any) -> str:
        return nfc(super().to_internal_value(data))


class Password(LongText):
    """A new password, in NFKC; its length is counted afterwards."""

    def __init__(self, **options: Any) -> None:
        super().__init__(min_length=MIN_LENGTH, max_length=MAX_LENGTH, **options)

    def to_internal_value(self, data: Any) -> str:
        return normalized(super().to_internal_value(data))


class Email(Name):
    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=EMAIL_LENGTH, **options)
        self.validators.append(EmailValidator())


def refuse_nul(in_path: str) -> None:
    """Raises Http404 for a name that no row can have: PostgreSQL stores no NUL, and its
    driver refuses even to ask for one."""
    if "\0" in in_path:
        raise Http404
