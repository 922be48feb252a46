"""Forms of the site. The serializers of the API check the values, so the rules and the words of the
errors are the same."""

import math
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse
from rest_framework.exceptions import (
    APIException,
    AuthenticationFailed,
    NotFound,
    PermissionDenied,
    Throttled,
)

from users.api_errors import as_api_exception, messages_of, throttled_sentence
from website.pages import show


class Form:
    """What a person typed, and what is wrong with it."""

    def __init__(self, values: Mapping[str, Any], noun: str) -> None:
        """`noun` names the object in an error that is about no field, such as "article"."""
        self.values = values
        self.noun = noun
        self.errors: list[str] = []
        """As `field message`, such as "title can't be blank". A sentence, if there were too many
        requests."""
        self.faulty: set[str] = set()
        """The fields with errors."""
        self.status: int = HTTPStatus.OK
        """Of the page that shows the form."""
        self.retry_after = 0
        """Seconds, if there were too many requests."""

    def save[Row](self, write: Callable[[], Row]) -> Row | None:
        """Call `write`, which checks and saves the values. None if the values are at fault, or if
        there were too many requests; then `errors` says why. Raises any other exception; NotFound,
        if the object is gone, and AuthenticationFailed, if the session has ended."""
        try:
            return write()
        except Exception as exception:
            error = as_api_exception(exception)
            # Other values cannot help.
            if error is None:
                raise
            if isinstance(error, NotFound | PermissionDenied | AuthenticationFailed):
                raise error from exception
            if isinstance(error, Throttled):
                self._show_limit(error, throttled_sentence(exception))
            else:
                self._show_faults(error)
            return None

    def show(
        self, request: HttpRequest, template: str, context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The page with the form."""
        response = show(request, template, {"form": self} | (context or {}), status=self.status)
        if self.retry_after:
            response["Retry-After"] = str(self.retry_after)
        return response

    def _show_faults(self, error: APIException) -> None:
        found = messages_of(error, self.noun)
        self.errors = [f"{field} {text}" for field, texts in found.items() for text in texts]
        self.faulty = {*found}
        self.status = HTTPStatus.UNPROCESSABLE_ENTITY

    def _show_limit(self, error: Throttled, sentence: str) -> None:
        self.errors = [sentence]
        self.status = HTTPStatus.TOO_MANY_REQUESTS
        self.retry_after = math.ceil(getattr(error, "wait", None) or 1)
