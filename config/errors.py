"""Every error under /api: `{"errors": {"<key>": ["<message>", …]}}`.

The words are chosen by the error's code, and by nothing else; a code without words here
brings its own, because it names a number (`users/serializer_fields.py`).
"""

import math
from collections.abc import Iterator
from typing import Any

from django.core.exceptions import (
    ObjectNotUpdated,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.core.signals import got_request_exception
from django.db import IntegrityError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from django.utils.log import log_response
from django.views import defaults
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from database.errors import Failure as DatabaseFailure
from database.errors import failure_of, refers_to_nothing, violated_constraint
from users.authentication import account_is_gone
from users.limits import LoginRefused
from users.names import TAKEN_FIELDS
from users.password_queue import PasswordQueueFull

WORDS = {
    "required": "can't be blank",
    "blank": "can't be blank",
    "null": "can't be blank",
    "invalid": "is invalid",
    "not_a_list": "must be a list",
    "null_characters_not_allowed": "must not contain a NUL character",
    "username_not_allowed": "must be letters, digits and . _ + -, with at least one letter or "
    "digit, and no invisible characters",
    "not_one_line": "must be one line",
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
    "key_reused": "was used with another request",
    "unavailable": "is unavailable",
    "outcome_unknown": "outcome is unknown",
    "timed_out": "took too long",
    "failed": "has failed",
    "not_received": "was not received in time",
    "incomplete": "is incomplete",
    "length_required": "needs a Content-Length",
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
    "not_received": "body",
    "incomplete": "body",
    "length_required": "body",
    "method_not_allowed": "method",
    "malformed": "request",
    "throttled": "request",
    "failed": "server",
}

RETRY_AFTER = 1  # seconds: the database is back within moments, or an operator is called


class Failure(exceptions.APIException):
    """An error that DRF has no class for."""

    def __init__(self, status_code: int, code: str, field: str | None = None) -> None:
        super().__init__({field: [""]} if field else "", code)
        self.status_code = status_code


def answer(exc: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler: the answer to whatever a view has raised; None, so that DRF
    raises it again, for what `database.middleware` answers (`database_failure`)."""
    request, view = context["request"], context["view"]
    if failure_of(exc, writes=True):
        return None
    error = _as_api_exception(exc)
    if isinstance(error, exceptions.NotFound) and account_is_gone(request):
        error = exceptions.AuthenticationFailed()
    if error is None:
        error = Failure(500, "failed")
        # What Django does for an exception that nobody caught: error trackers listen.
        got_request_exception.send(sender=type(view), request=request)
    response = Response(
        {"errors": _errors(error, noun=view.envelope)},
        status=422 if isinstance(error, exceptions.ValidationError) else error.status_code,
        headers=_headers(error),
    )
    # Django logs every error that has not been logged yet.
    if response.status_code == 500:
        # Left to itself, it would do so without the cause.
        path = request.get_full_path()
        log_response(
            "Internal Server Error: %s", path, response=response, request=request, exception=exc
        )
    elif response.status_code == 429:
        # Of a flood, a line for each that is kept out would be a fifth of the work; it is counted.
        log_response("Throttled", response=response, request=request, level="debug")
    return response


def _as_api_exception(exc: Exception) -> exceptions.APIException | None:
    """What Django raises, in DRF's terms; None for a fault of our own."""
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
        case PasswordQueueFull() | LoginRefused():
            return exceptions.Throttled(exc.retry_after)
    return None


def _broken_rule(exc: IntegrityError) -> exceptions.APIException | None:
    if refers_to_nothing(exc):
        return exceptions.NotFound()
    field = TAKEN_FIELDS.get(violated_constraint(exc) or "")
    return Failure(409, "taken", field) if field else None


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
    return headers


class UnknownPath(APIView):
    """Every path under /api that no other route knows; DEBUG has no say in it."""

    envelope = "path"
    authentication_classes = ()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        raise exceptions.NotFound


def database_failure(request: HttpRequest, failure: DatabaseFailure) -> HttpResponse:
    """The answer to any request that the database has failed."""
    status = 504 if failure is DatabaseFailure.TIMED_OUT else 503
    if is_api(request):
        response: HttpResponse = plain(status, "database", failure.value)
    else:
        words = f"The database {WORDS[failure.value]}."
        response = HttpResponse(
            f"<!doctype html><title>{status}</title><h1>{words}</h1>", status=status
        )
    # To invite a second try where the outcome is unknown would double what was committed.
    if failure is DatabaseFailure.UNAVAILABLE:
        response["Retry-After"] = RETRY_AFTER
    return response


def key_refused(code: str) -> HttpResponse:
    """The answer to a request whose `Idempotency-Key` can't be used."""
    return plain(422, "idempotencyKey", code)


# Django's own handlers, for what fails outside a view: JSON under /api, a page elsewhere.


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if is_api(request):
        return plain(400, "request", "malformed")
    return defaults.bad_request(request, exception)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    if is_api(request):
        return plain(403, "request", "permission_denied")
    return defaults.permission_denied(request, exception)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if is_api(request):
        return plain(404, "path", "not_found")
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    if is_api(request):
        return plain(500, "server", "failed")
    return defaults.server_error(request)


def is_api(request: HttpRequest) -> bool:
    return request.path == "/api" or request.path.startswith("/api/")


def plain(status: int, key: str, code: str) -> JsonResponse:
    """An error that no view has raised."""
    return JsonResponse({"errors": {key: [WORDS[code]]}}, status=status)
