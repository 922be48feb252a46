"""Forms of the site. The serializers of the API check the values, so the rules and the words of the
errors are the same."""

from collections.abc import Callable, Mapping
from typing import Any

from rest_framework.exceptions import NotFound, PermissionDenied

from users.api_errors import as_api_exception, messages_of


class Form:
    """What a person typed, and what is wrong with it."""

    def __init__(self, values: Mapping[str, Any], noun: str) -> None:
        """`noun` names the object in an error that is about no field, such as "article"."""
        self.values = values
        self.noun = noun
        self.errors: list[str] = []
        """As `field message`, such as "title can't be blank"."""

    def save[Row](self, write: Callable[[], Row]) -> Row | None:
        """Call `write`, which checks and saves the values. None if the values are at fault; then
        `errors` says why. Any other exception is raised."""
        try:
            return write()
        except Exception as exception:
            error = as_api_exception(exception)
            # Other values cannot help against a bug, or if the object of the form is gone.
            if error is None or isinstance(error, NotFound | PermissionDenied):
                raise
            self.errors = [
                f"{field} {message}"
                for field, messages in messages_of(error, self.noun).items()
                for message in messages
            ]
            return None
