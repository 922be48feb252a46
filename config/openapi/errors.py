"""The answers to errors, in the words of `config.errors`."""

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import NamedTuple

from config.openapi.headers import references
from config.openapi.schemas import Json, all_required, ref
from users.error_texts import KEYS, TEXTS


class Error(NamedTuple):
    """A message that an answer can contain."""

    key: str
    text: str


def coded(code: str, key: str = "") -> Error:
    """The error with this code. Its key is the name of a field or an object, or fixed."""
    return Error(key or KEYS[code], TEXTS[code])


def error_response(
    status: HTTPStatus,
    description: str,
    errors: Sequence[Error],
    *,
    headers: Iterable[str] = (),
    keys: Iterable[str] = (),
) -> Json:
    """The answer with this status, with each error as an example.

    `keys` are further keys that the errors can have. If there are any, `errors` are only examples;
    otherwise the answer has no other messages.
    """
    messages = {key: ref("Messages") for key in keys} or _messages(errors)
    body = {"type": "object", "minProperties": 1, "properties": messages}
    examples = {
        f"{error.key} {error.text}": {"value": {"errors": {error.key: [error.text]}}}
        for error in errors
    }
    return {
        "description": f"{status.phrase}. {description}",
        "headers": references("X-Request-Id", "Vary", "Allow", "Cache-Control", *headers),
        "content": {
            "application/json": {"schema": all_required({"errors": body}), "examples": examples}
        },
    }


def _messages(errors: Sequence[Error]) -> Json:
    return {
        key: {
            "type": "array",
            "items": {"enum": [error.text for error in errors if error.key == key]},
            "minItems": 1,
            "maxItems": 1,
        }
        for key in dict.fromkeys(error.key for error in errors)
    }


CHALLENGE = "WWW-Authenticate"

# The answers that several operations have.
RESPONSES: dict[str, Json] = {
    "Moved": {
        "description": "The slug is an old one.",
        "headers": references(
            "X-Request-Id", "Vary", "Allow", "Location", "Cache-Control", CHALLENGE
        ),
    },
    "BadRequest": error_response(
        HTTPStatus.BAD_REQUEST, "The request itself is wrong.", [coded("malformed")]
    ),
    "BadBody": error_response(
        HTTPStatus.BAD_REQUEST,
        "The body is not a JSON object.",
        [coded("parse_error"), coded("not_an_object"), coded("incomplete"), coded("malformed")],
        headers=[CHALLENGE],
    ),
    "Unauthorized": error_response(
        HTTPStatus.UNAUTHORIZED,
        "The operation needs a valid token.",
        [coded("not_authenticated"), coded("authentication_failed"), coded("token_expired")],
        headers=[CHALLENGE],
    ),
    "WrongCredentials": error_response(
        HTTPStatus.UNAUTHORIZED,
        "The e-mail is unknown, or the password is wrong.",
        [coded("invalid_credentials", "credentials")],
        headers=[CHALLENGE],
    ),
    "Taken": error_response(
        HTTPStatus.CONFLICT,
        "Another user has the name or the e-mail.",
        [coded("taken", "username"), coded("taken", "email")],
    ),
    "LateBody": error_response(
        HTTPStatus.REQUEST_TIMEOUT, "The body came too slowly.", [coded("not_received")]
    ),
    "LengthRequired": error_response(
        HTTPStatus.LENGTH_REQUIRED,
        "The body was sent in chunks. Only development servers refuse this.",
        [coded("length_required")],
    ),
    "TooLarge": error_response(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The limit is 2.5 MiB.", [coded("too_large")]
    ),
    "UnsupportedMediaType": error_response(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "The body is not JSON, or it is compressed.",
        [coded("unsupported_media_type"), coded("compressed")],
    ),
    "Throttled": error_response(
        HTTPStatus.TOO_MANY_REQUESTS,
        "Too many requests, or too many failed logins.",
        [coded("throttled")],
        headers=["Retry-After"],
    ),
    "Failed": error_response(
        HTTPStatus.INTERNAL_SERVER_ERROR, "A bug of the server.", [coded("failed")]
    ),
    "Unavailable": error_response(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Without `Retry-After`, the write may have happened: send it again only with an "
        "`Idempotency-Key`.",
        [coded("unavailable"), coded("outcome_unknown")],
        headers=["Retry-After"],
    ),
    "TimedOut": error_response(
        HTTPStatus.GATEWAY_TIMEOUT, "The database took too long.", [coded("timed_out")]
    ),
}
