"""The text fields of all serializers. They are stricter about types than DRF's."""

from typing import Any

from django.core.validators import EmailValidator
from rest_framework import serializers
from rest_framework.exceptions import NotFound

from users.names import EMAIL_LENGTH, nfc
from users.passwords import MAX_LENGTH, MIN_LENGTH, normalize_password


class Text(serializers.CharField):
    """A JSON string. Refuses other JSON types and, without `allow_blank`, a text that is only
    white space. The base class refuses NUL."""

    default_error_messages = {
        "not_a_string": "must be a string",
        "max_length": "is too long (maximum is {max_length} characters)",
        "min_length": "is too short (minimum is {min_length} characters)",
    }

    def run_validation(self, data: Any = serializers.empty) -> Any:
        # The base class treats white space as blank only if it trims.
        if isinstance(data, str) and not data.strip() and not self.allow_blank:
            self.fail("blank")
        return super().run_validation(data)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("not_a_string")
        return super().to_internal_value(data)


class LongText(Text):
    """A text that keeps its white space."""

    def __init__(self, **options: Any) -> None:
        super().__init__(trim_whitespace=False, **options)


class Name(Text):
    """A username or an e-mail, converted to NFC before its length is counted."""

    def to_internal_value(self, data: Any) -> str:
        return nfc(super().to_internal_value(data))


class Password(LongText):
    """A new password, normalized before its length is counted."""

    def __init__(self, **options: Any) -> None:
        super().__init__(min_length=MIN_LENGTH, max_length=MAX_LENGTH, **options)

    def to_internal_value(self, data: Any) -> str:
        return normalize_password(super().to_internal_value(data))


class Email(Name):
    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=EMAIL_LENGTH, **options)
        self.validators.append(EmailValidator())


def refuse_nul(in_path: str, noun: str) -> None:
    """Raise NotFound for a text from a path that contains NUL. PostgreSQL stores no NUL, and
    psycopg raises an error for a parameter that contains one.

    `noun` is the key in the error body, such as "article".
    """
    if "\0" in in_path:
        raise NotFound({noun: ["not found"]})
