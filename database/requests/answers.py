"""The defaults of the settings that name functions: plain-text responses, and the user."""

from typing import Any

from django.http import HttpRequest, HttpResponse

from database.errors import Failure

_FAILURES = {
    Failure.UNAVAILABLE: (503, "The database is unavailable. Try again.\n"),
    Failure.OUTCOME_UNKNOWN: (503, "The connection was lost. The request may have taken effect.\n"),
    Failure.TIMED_OUT: (504, "The database took too long. The request had no effect.\n"),
}
_REFUSALS = {
    "invalid": "The Idempotency-Key must be 1 to 255 printable ASCII characters.\n",
    "key_reused": "The Idempotency-Key was used with another request.\n",
}


def failure(request: HttpRequest, failure: Failure) -> HttpResponse:
    """A plain-text response, with `Retry-After` if a retry cannot repeat a write."""
    status, text = _FAILURES[failure]
    response = HttpResponse(text, status=status, content_type="text/plain")
    if failure is Failure.UNAVAILABLE:
        response["Retry-After"] = "1"
    return response


def key_refused(code: str) -> HttpResponse:
    """A plain-text response with status 422. The code is "invalid" or "key_reused"."""
    return HttpResponse(_REFUSALS[code], status=422, content_type="text/plain")


def logged_in_user(request: HttpRequest) -> Any:
    """The user of Django's AuthenticationMiddleware; None if the request is anonymous."""
    user = getattr(request, "user", None)
    return user if user is not None and user.is_authenticated else None
