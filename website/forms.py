"""Forms of the site. The serializers of the API check the values, so the rules and the words of the
errors are the same."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from rest_framework.exceptions import NotFound, PermissionDenied, Throttled

from users.api_errors import as_api_exception, messages_of


class Form:
    """What a person typed, and what is wrong with it."""

    def __init__(self, values: Mapping[str, Any], noun: str) -> None:
        """`noun` names the object in an error that is about no field, such as "article"."""
        self.values = values
        self.noun = noun
        self.errors: list[str] = []
        """As `field message`, such as "title can't be blank"."""
        self.faulty: set[str] = set()
        """The fields with errors."""
        self.status: int = HTTPStatus.OK
        """Of the page that shows the form."""

    def save[Row](self, write: Callable[[], Row]) -> Row | None:
        """Call `write`, which checks and saves the values. None if the values are at fault; then
        `errors` says why. Raises any other exception; NotFound, if the object is gone."""
        try:
            return write()
        except Exception as exception:
            error = as_api_exception(exception)
            # Other values cannot help against a bug, or if the object of the form is gone.
            if error is None:
                raise
            if isinstance(error, NotFound | PermissionDenied):
                raise error from exception
            found = messages_of(error, self.noun)
            self.errors = [f"{field} {text}" for field, texts in found.items() for text in texts]
            self.faulty = {*found}
            throttled = isinstance(error, Throttled)
            self.status = (
                HTTPStatus.TOO_MANY_REQUESTS if throttled else HTTPStatus.UNPROCESSABLE_ENTITY
            )
            return None
