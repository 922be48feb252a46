"""Every error under /api: `{"errors": {"<key>": ["<message>", …]}}`.

The words are chosen by the error's code, and by nothing else; a code without words here
brings its own, because it names a number (`users/fields.py`).
"""

import logging
import math
from collections.abc import Iterator
from typing import Any

import psycopg
from django.core.exceptions import (
    ObjectNotUpdated,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.core.signals import got_request_exception
from django.db import IntegrityError, InterfaceError, InternalError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from django.views import defaults
from psycopg.errors import IdleInTransactionSessionTimeout
from rest_framework import exceptions
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from database.errors import may_be_committed, refers_to_nothing, violated_constraint

logger = logging.getLogger("django.request")

WORDS = {
    "required": "can't be blank",
    "blank": "can't be blank",
    "null": "can't be blank",
    "invalid": "is invalid",
    "not_a_list": "must be a list",
    "null_characters_not_allowed": "must not contain a NUL character",
    "username_not_allowed": "must be letters, digits and . _ + - with a letter or digit",
    "self_follow": "can't follow yourself",
    "taken": "has already been taken",
    "invalid_credentials": "invalid",
    "not_authenticated": "is missing",
    "authentication_failed": "is invalid",
    "token_expired": "has expired",
    "permission_denied": "forbidden",
    "not_found": "not found",
    "parse_error": "is not valid JSON",
    "not_an_object": "must be an object",
    "too_large": "is too large",
    "unsupported_media_type": "must be application/json",
    "method_not_allowed": "is not allowed",
    "malformed": "is invalid",
    "throttled": "was throttled",
    "unavailable": "is unavailable",
    "outcome_unknown": "outcome is unknown",
    "timed_out": "took too long",
    "failed": "has failed",
}

# What an error without a field of its own is about; the others are about the view's noun.
KEYS = {
    "not_authenticated": "token",
    "authentication_failed": "token",
    "token_expired": "token",
    "parse_error": "body",
    "not_an_object": "body",
    "too_large": "body",
    "unsupported_media_type": "body",
    "method_not_allowed": "method",
    "malformed": "request",
    "throttled": "request",
    "unavailable": "database",
    "outcome_unknown": "database",
    "timed_out": "database",
    "failed": "server",
}

# Unique constraints whose violation is somebody's wish for a name that is taken.
TAKEN = {
    "username_folded_once": "username",
    "username_once": "username",
    "email_folded_once": "email",
    "email_once": "email",
}

RETRY_AFTER = 1  # seconds: the database is back within moments, or an operator is called


class Failure(exceptions.APIException):
    """An error that DRF has no class for."""

    def __init__(self, status_code: int, code: str, field: str | None = None) -> None:
        super().__init__({field: [""]} if field else "", code)
        self.status_code = status_code


def answer(exc: Exception, context: dict[str, Any]) -> Response:
    """DRF's exception handler: the answer to whatever a view has raised."""
    request, view = context["request"], context["view"]
    error = _as_api_exception(exc, request)
    if error is None:
        error = Failure(500, "failed")
        logger.exception("Internal Server Error: %s", request.get_full_path(), exc_info=exc)
        # What Django does for an exception that nobody caught: error trackers listen.
        got_request_exception.send(sender=type(view), request=request)
    return Response(
        {"errors": _errors(error, noun=view.envelope)},
        status=422 if isinstance(error, exceptions.ValidationError) else error.status_code,
        headers=_headers(error),
    )


def _as_api_exception(exc: Exception, request: Request) -> exceptions.APIException | None:
    """What Django and the database raise, in DRF's terms; None for a fault of our own."""
    match exc:
        case exceptions.APIException():
            return exc
        case Http404() | ObjectNotUpdated():
            return exceptions.NotFound()
        case PermissionDenied():
            return exceptions.PermissionDenied()
        case RequestDataTooBig():
            return Failure(413, "too_large")
        case SuspiciousOperation():
            return Failure(400, "malformed")
        case UnreadablePostError():
            return exceptions.ParseError()
        case IntegrityError():
            return _broken_rule(exc)
        # Django has an InternalError for a transaction that idled too long.
        case OperationalError() | InterfaceError() | InternalError():
            return _broken_connection(exc, request)
    return None


def _broken_rule(exc: IntegrityError) -> exceptions.APIException | None:
    if refers_to_nothing(exc):
        return exceptions.NotFound()
    field = TAKEN.get(violated_constraint(exc) or "")
    return Failure(409, "taken", field) if field else None


def _broken_connection(
    exc: OperationalError | InterfaceError | InternalError, request: Request
) -> exceptions.APIException | None:
    cause = exc.__cause__
    if isinstance(exc, InternalError) and not isinstance(cause, IdleInTransactionSessionTimeout):
        return None
    # libpq's words name hosts and users: for the log alone. They name no password. The
    # path as it was sent: decoded, it could hold a line of its own.
    logger.warning("%s %s: %s", request.method, request.get_full_path(), str(exc).strip())
    if isinstance(cause, psycopg.errors.QueryCanceled):
        return Failure(504, "timed_out")
    if request.method in SAFE_METHODS or not may_be_committed(cause):
        return Failure(503, "unavailable")
    # To invite a second try, as "unavailable" does, would double what was committed.
    return Failure(503, "outcome_unknown")


def _errors(error: exceptions.APIException, noun: str) -> dict[str, list[str]]:
    if isinstance(error.detail, dict):
        # One message for each thing that is wrong, however many tags it is wrong of.
        return {key: [*dict.fromkeys(_messages(detail))] for key, detail in error.detail.items()}
    code = str(error.get_codes())
    return {KEYS.get(code, noun): [WORDS.get(code, str(error.detail))]}


def _messages(detail: Any) -> Iterator[str]:
    """The messages of a field, and of the items in it where it is a list."""
    if isinstance(detail, dict | list):
        for part in detail.values() if isinstance(detail, dict) else detail:
            yield from _messages(part)
    else:
        yield WORDS.get(detail.code, detail)


def _headers(error: exceptions.APIException) -> dict[str, str]:
    headers = {}
    if error.status_code == 401:
        headers["WWW-Authenticate"] = "Token"
    if wait := getattr(error, "wait", None):
        headers["Retry-After"] = str(math.ceil(wait))
    if error.get_codes() == "unavailable":
        headers["Retry-After"] = str(RETRY_AFTER)
    return headers


class UnknownPath(APIView):
    """Every path under /api that no other route knows; DEBUG has no say in it."""

    envelope = "path"

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        raise exceptions.NotFound


# Django's own handlers, for what fails outside a view: JSON under /api, a page elsewhere.


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _is_api(request):
        return _plain(400, "request", "malformed")
    return defaults.bad_request(request, exception)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _is_api(request):
        return _plain(403, "request", "permission_denied")
    return defaults.permission_denied(request, exception)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _is_api(request):
        return _plain(404, "path", "not_found")
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    if _is_api(request):
        return _plain(500, "server", "failed")
    return defaults.server_error(request)


def _is_api(request: HttpRequest) -> bool:
    return request.path == "/api" or request.path.startswith("/api/")


def _plain(status: int, key: str, code: str) -> JsonResponse:
    return JsonResponse({"errors": {key: [WORDS[code]]}}, status=status)
