"""Describes one operation: what drf-spectacular finds in the view, and its `Operation`."""

from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter
from rest_framework.permissions import SAFE_METHODS

from articles.serializers import Before
from config.openapi.errors import CHALLENGE, Error, coded, error_response
from config.openapi.fields import IDEMPOTENCY_KEY, constraints, parameter
from config.openapi.headers import references
from config.openapi.operations import OPERATIONS, Operation
from config.openapi.schemas import Json, all_required
from users.authentication import TokenAuthentication

TOKEN: list[Json] = [{"Token": []}, {"Bearer": []}]
# The names of path parameters: the schema, the description, and an example.
PATH_PARAMETERS: dict[str, tuple[Json, str, Any]] = {
    "slug": (
        {"type": "string", "pattern": r"^[^/\u0000]+$"},
        "The slug of the article.",
        "how-to-train-your-dragon",
    ),
    "username": (
        {"type": "string", "pattern": r"^[^/\u0000]+$"},
        "The name of the user.",
        "bob",
    ),
    "id": ({"type": "integer", "format": "int64", "minimum": 1}, "The id of the comment.", 1),
}


class Inspector(AutoSchema):
    """The overridden methods are drf-spectacular's hooks."""

    view: Any  # a viewset with an `envelope`

    @property
    def known(self) -> Operation:
        """Raises KeyError for an action that `OPERATIONS` does not have."""
        return OPERATIONS[type(self.view), self.view.action]

    @property
    def ignores_token(self) -> bool:
        return TokenAuthentication not in self.view.authentication_classes

    @property
    def needs_token(self) -> bool:
        writes = self.method not in SAFE_METHODS
        return self.known.needs_token or (writes and not self.ignores_token)

    def get_operation(self, *arguments: Any) -> Json:
        operation: Json = super().get_operation(*arguments) or {}
        for each in operation.get("parameters", []):
            if each["in"] == "query":
                each["allowEmptyValue"] = True  # the same as an absent one
            elif each["in"] == "path":
                each["example"] = PATH_PARAMETERS[each["name"]][-1]
        if body := self.known.body:
            operation["requestBody"] = self._with_envelope(operation["requestBody"], body.example)
        operation["responses"] = dict(sorted(self._responses()))
        return operation

    def get_operation_id(self) -> str:
        return self.known.id

    def get_tags(self) -> list[str]:
        return [self.known.tag]

    def get_summary(self) -> str:
        return self.known.summary

    def get_description(self) -> str:  # type: ignore[override]  # drf-spectacular's signature
        return self.known.description

    def get_auth(self) -> list[Json]:
        if self.ignores_token:
            return [{}]
        return TOKEN if self.needs_token else [{}, *TOKEN]

    def get_override_parameters(self) -> list[Any]:
        parameters: list[Any] = [
            OpenApiParameter(name, schema, OpenApiParameter.PATH, description=text)
            for name, (schema, text, _) in PATH_PARAMETERS.items()
            if f"{{{name}}}" in self.path
        ]
        if self.known.query:
            parameters.append(self.known.query)
        if self._is_idempotent():
            schema = {"type": "string", "pattern": IDEMPOTENCY_KEY}
            text = "A key of the client's choice. A repeated request gets the first answer again."
            key = OpenApiParameter(
                "Idempotency-Key", schema, OpenApiParameter.HEADER, description=text
            )
            parameters.append(key)
        return parameters

    def get_request_serializer(self) -> Any:
        body = self.known.body
        return body and body.serializer(partial=body.partial)

    def get_response_serializers(self) -> Any:
        return {}  # get_operation adds the answers

    def _get_serializer_name(self, serializer: Any, *arguments: Any) -> str:
        return self.known.body.name if self.known.body else ""

    def _map_serializer_field(self, field: Any, direction: Any, *arguments: Any) -> Any:
        if isinstance(field, Before):  # drf-spectacular does not know its type
            return {"type": "string"}
        return super()._map_serializer_field(field, direction, *arguments)

    def _insert_field_validators(self, field: Any, schema: Json) -> None:
        super()._insert_field_validators(field, schema)
        schema.update(parameter(field) if self.known.query else constraints(field))

    def _is_idempotent(self) -> bool:
        return self.method == "POST" and not self.ignores_token

    def _with_envelope(self, body: Json, example: Json) -> Json:
        (media,) = body["content"].values()
        name = self.view.envelope
        content = {"schema": all_required({name: media["schema"]}), "example": {name: example}}
        return {"required": True, "content": {"application/json": content}}

    def _responses(self) -> Iterator[tuple[str, Json]]:
        known = self.known
        yield str(known.status), self._success()
        for status, name in self._shared():
            yield str(status), {"$ref": f"#/components/responses/{name}"}
        if known.forbidden:
            yield (
                "403",
                self._error(
                    HTTPStatus.FORBIDDEN,
                    "Somebody else has written it.",
                    [coded("permission_denied", known.forbidden)],
                ),
            )
        if known.not_found:
            yield (
                "404",
                self._error(
                    HTTPStatus.NOT_FOUND,
                    "It does not exist, or it is hidden.",
                    [coded("not_found", name) for name in known.not_found],
                ),
            )
        if keys := [*dict.fromkeys(self._invalid_keys())]:
            yield (
                "422",
                self._error(
                    HTTPStatus.UNPROCESSABLE_ENTITY,
                    "Every wrong field or parameter is a key.",
                    self._invalid(),
                    keys,
                ),
            )

    def _error(
        self, status: HTTPStatus, text: str, errors: list[Error], keys: Iterable[str] = ()
    ) -> Json:
        headers = [] if self.ignores_token else [CHALLENGE]
        return error_response(status, text, errors, headers=headers, keys=keys)

    def _shared(self) -> Iterator[tuple[int, str]]:
        """The statuses of errors that other operations have too, and names in RESPONSES."""
        yield from self.known.shared
        yield from ((500, "Failed"), (503, "Unavailable"), (504, "TimedOut"))
        if self.needs_token:
            yield 401, "Unauthorized"
        if self.method not in SAFE_METHODS:
            yield 429, "Throttled"
        if self.known.body:
            yield from ((400, "BadBody"), (408, "LateBody"), (411, "LengthRequired"))
            yield from ((413, "TooLarge"), (415, "UnsupportedMediaType"))
        else:
            yield 400, "BadRequest"

    def _invalid(self) -> list[Error]:
        """Examples of errors in the input."""
        errors = [*self.known.invalid]
        if self._is_idempotent():
            errors.append(coded("invalid", "idempotencyKey"))
            errors.append(coded("key_reused", "idempotencyKey"))
        return errors

    def _invalid_keys(self) -> Iterator[str]:
        """All keys that errors in the input can have."""
        known = self.known
        if known.body:
            yield self.view.envelope
            yield from known.body.fields()
        if known.query:
            yield from known.query().fields.keys()
        yield from (error.key for error in self._invalid())

    def _success(self) -> Json:
        known = self.known
        names = ["X-Request-Id", "Vary", "Allow"]
        if not self.ignores_token:
            names.append("Cache-Control")
            if not self.needs_token:
                names.append(CHALLENGE)
        if known.query:
            names.append("Link")
        response: Json = {"description": known.answer.description, "headers": references(*names)}
        if known.answer.schema:
            content = {"schema": known.answer.schema, "example": known.answer.example}
            response["content"] = {"application/json": content}
        if known.links:
            response["links"] = {name: _link(name) for name in known.links}
        return response


def _link(operation: str) -> Json:
    parameters = {
        "GetProfileByUsername": {"username": "$response.body#/user/username"},
        "DeleteArticleComment": {
            "slug": "$request.path.slug",
            "id": "$response.body#/comment/id",
        },
    }
    from_article = {"slug": "$response.body#/article/slug"}
    return {"operationId": operation, "parameters": parameters.get(operation, from_article)}
