"""The answers of an operation: its success, and each error that it can have."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from http import HTTPStatus
from operator import itemgetter

from config.openapi.errors import CHALLENGE, Error, coded, error_response
from config.openapi.headers import references
from config.openapi.operations import Operation
from config.openapi.schemas import Json

LINKS: dict[str, dict[str, str]] = {
    "GetProfileByUsername": {"username": "$response.body#/user/username"},
    "DeleteArticleComment": {"slug": "$request.path.slug", "id": "$response.body#/comment/id"},
}
LINK_TO_ARTICLE = {"slug": "$response.body#/article/slug"}


class Token(Enum):
    """What an operation does with the token of a request."""

    IGNORED = auto()
    OPTIONAL = auto()
    REQUIRED = auto()


@dataclass(frozen=True)
class Answers:
    operation: Operation
    envelope: str
    token: Token
    writes: bool
    is_idempotent: bool

    def by_status(self) -> dict[str, Json]:
        return {str(status): answer for status, answer in sorted(self._all(), key=itemgetter(0))}

    def _all(self) -> Iterator[tuple[int, Json]]:
        yield self.operation.status, self._success()
        for status, name in self._shared():
            yield status, {"$ref": f"#/components/responses/{name}"}
        if self.operation.forbidden:
            error = coded("permission_denied", self.operation.forbidden)
            yield 403, self._error(HTTPStatus.FORBIDDEN, "Another user has written it.", [error])
        if self.operation.not_found:
            text = "It does not exist, or it is hidden."
            if self.is_idempotent:
                text += " Or a request with this key has made it before, and it is deleted."
            errors = [coded("not_found", name) for name in self.operation.not_found]
            yield 404, self._error(HTTPStatus.NOT_FOUND, text, errors)
        if keys := [*dict.fromkeys(self._invalid_keys())]:
            text = "Every wrong field or parameter is a key."
            yield 422, self._error(HTTPStatus.UNPROCESSABLE_ENTITY, text, self._invalid(), keys)

    def _success(self) -> Json:
        names = ["X-Request-Id", "Vary", "Allow"]
        if self.token is not Token.IGNORED:
            names.append("Cache-Control")
        if self.token is Token.OPTIONAL:
            names.append(CHALLENGE)
        if self.operation.query:
            names.append("Link")
        answer = self.operation.answer
        success: Json = {"description": answer.description, "headers": references(*names)}
        if answer.schema:
            content = {"schema": answer.schema, "example": answer.example}
            success["content"] = {"application/json": content}
        if self.operation.links:
            success["links"] = {
                name: {"operationId": name, "parameters": LINKS.get(name, LINK_TO_ARTICLE)}
                for name in self.operation.links
            }
        return success

    def _shared(self) -> Iterator[tuple[int, str]]:
        """The statuses of errors that other operations have too, and their names in RESPONSES."""
        yield from self.operation.shared
        yield from ((500, "Failed"), (503, "Unavailable"), (504, "TimedOut"))
        if self.token is Token.REQUIRED:
            yield 401, "Unauthorized"
        if self.writes:
            yield 429, "Throttled"
        if self.operation.body:
            yield from ((400, "BadBody"), (408, "LateBody"), (411, "LengthRequired"))
            yield from ((413, "TooLarge"), (415, "UnsupportedMediaType"))
        else:
            yield 400, "BadRequest"

    def _invalid(self) -> list[Error]:
        """Examples of errors in the input."""
        errors = [*self.operation.invalid]
        if self.is_idempotent:
            errors.append(coded("invalid", "idempotencyKey"))
            errors.append(coded("key_reused", "idempotencyKey"))
        return errors

    def _invalid_keys(self) -> Iterator[str]:
        """All keys that errors in the input can have."""
        if self.operation.body:
            yield self.envelope
            yield from self.operation.body.fields()
        if self.operation.query:
            yield from self.operation.query().fields.keys()
        yield from (error.key for error in self._invalid())

    def _error(
        self, status: HTTPStatus, text: str, errors: list[Error], keys: Iterable[str] = ()
    ) -> Json:
        headers = () if self.token is Token.IGNORED else (CHALLENGE,)
        return error_response(status, text, errors, headers=headers, keys=keys)
