"""The errors of requests, as DRF's exceptions and as texts. The API and the site use the same."""

import math
from collections.abc import Iterator
from typing import Any

from django.core.exceptions import (
    ObjectNotUpdated,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.db import IntegrityError
from django.http import Http404, UnreadablePostError
from rest_framework import exceptions

from database.errors import is_foreign_key_violation, violated_constraint
from users.error_texts import KEYS, SENTENCES, TEXTS
from users.limits.logins import LoginRefused
from users.names import TAKEN_FIELDS
from users.password_queue import PasswordQueueFull


class StatusError(exceptions.APIException):
    """An error for which DRF has no class."""

    def __init__(self, status_code: int, code: str, field: str | None = None) -> None:
        super().__init__({field: [""]} if field else "", code)
        self.status_code = status_code


def as_api_exception(exc: Exception) -> exceptions.APIException | None:
    """DRF's exception for `exc`, or None if `exc` is a bug."""
    match exc:
        case exceptions.APIException():
            return exc
        case Http404() | ObjectNotUpdated():
            return exceptions.NotFound()
        case PermissionDenied():
            return exceptions.PermissionDenied()
        case RequestDataTooBig():
            return StatusError(413, "too_large")
        case SuspiciousOperation():
            return StatusError(400, "malformed")
        case UnreadablePostError():
            return exceptions.ParseError()
        case IntegrityError():
            return _violation(exc)
        case PasswordQueueFull() | LoginRefused():
            return exceptions.Throttled(exc.retry_after)
    return None


def _violation(exc: IntegrityError) -> exceptions.APIException | None:
    if is_foreign_key_violation(exc):
        return exceptions.NotFound()
    field = TAKEN_FIELDS.get(violated_constraint(exc) or "")
    return StatusError(409, "taken", field) if field else None


def messages_of(error: exceptions.APIException, noun: str) -> dict[str, list[str]]:
    """The texts of an error by field, in the words of the API. `noun` is the key of an error that
    is about no field, such as "article"."""
    if isinstance(error.detail, dict):
        # If many tags have the same fault, the list of tags has one message for it.
        return {key: [*dict.fromkeys(_texts(detail))] for key, detail in error.detail.items()}
    code = str(error.get_codes())
    return {KEYS.get(code, noun): [TEXTS.get(code, str(error.detail))]}


def throttled_sentence(exc: Exception) -> str:
    """What a page says of a request that was refused because there are too many."""
    match exc:
        case PasswordQueueFull():
            return "Too many people are logging in. Try again soon."
        case LoginRefused():
            minutes = math.ceil(exc.retry_after / 60)
            return f"Too many logins have failed. Try again in {minutes} min."
    wait = getattr(exc, "wait", None)
    if wait is None:
        return SENTENCES["throttled"]
    time = f"{math.ceil(wait)} s" if wait <= 60 else f"{math.ceil(wait / 60)} min"
    return f"There were too many requests in a short time. Try again in {time}."


def _texts(detail: Any) -> Iterator[str]:
    """The texts for a field and, if it is a list, for its items."""
    if isinstance(detail, dict | list):
        for part in detail.values() if isinstance(detail, dict) else detail:
            yield from _texts(part)
    else:
        yield TEXTS.get(detail.code, detail)
