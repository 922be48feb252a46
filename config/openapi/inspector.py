"""Describes an operation: what drf-spectacular finds in the view, and what `OPERATIONS` has."""

from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter
from rest_framework.permissions import SAFE_METHODS

from articles.serializers import Before
from config.openapi.answers import Answers, Token
from config.openapi.fields import IDEMPOTENCY_KEY, PATH_PART, constraints, parameter
from config.openapi.operations import OPERATIONS, Operation
from config.openapi.schemas import Json, all_required
from users.authentication import TokenAuthentication

TOKEN: list[Json] = [{"Token": []}, {"Bearer": []}]
SECURITY: dict[Token, list[Json]] = {
    Token.IGNORED: [{}],
    Token.OPTIONAL: [{}, *TOKEN],
    Token.REQUIRED: TOKEN,
}
# The path parameters: the schema, the description, and an example.
PATH_PARAMETERS: dict[str, tuple[Json, str, Any]] = {
    "slug": (PATH_PART, "The slug of the article.", "how-to-train-your-dragon"),
    "username": (PATH_PART, "The name of the user.", "bob"),
    "id": ({"type": "integer", "format": "int64", "minimum": 1}, "The id of the comment.", 1),
}


class Inspector(AutoSchema):
    """Overrides methods that drf-spectacular calls for each view and method."""

    view: Any  # a viewset with an `envelope`

    @property
    def known(self) -> Operation:
        """Raises KeyError for an action that `OPERATIONS` does not have."""
        return OPERATIONS[type(self.view), self.view.action]

    @property
    def writes(self) -> bool:
        return self.method not in SAFE_METHODS

    @property
    def token(self) -> Token:
        if TokenAuthentication not in self.view.authentication_classes:
            return Token.IGNORED
        return Token.REQUIRED if self.writes or self.known.needs_token else Token.OPTIONAL

    @property
    def is_idempotent(self) -> bool:
        """Whether it takes an Idempotency-Key."""
        return self.method == "POST" and self.token is Token.REQUIRED

    def get_operation(self, *arguments: Any) -> Json:
        operation: Json = super().get_operation(*arguments) or {}
        for each in operation.get("parameters", []):
            if each["in"] == "query":
                each["allowEmptyValue"] = True  # the same as an absent one
            elif each["in"] == "path":
                each["example"] = PATH_PARAMETERS[each["name"]][-1]
        if body := self.known.body:
            operation["requestBody"] = self._with_envelope(operation["requestBody"], body.example)
        answers = Answers(
            self.known, self.view.envelope, self.token, self.writes, self.is_idempotent
        )
        operation["responses"] = answers.by_status()
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
        return SECURITY[self.token]

    def get_override_parameters(self) -> list[Any]:
        parameters: list[Any] = [
            OpenApiParameter(name, schema, OpenApiParameter.PATH, description=text)
            for name, (schema, text, _) in PATH_PARAMETERS.items()
            if f"{{{name}}}" in self.path
        ]
        if self.known.query:
            parameters.append(self.known.query)
        if self.is_idempotent:
            schema = {"type": "string", "pattern": IDEMPOTENCY_KEY}
            text = "A key of the client's choice. A repeated request gets the first answer again."
            parameters.append(
                OpenApiParameter(
                    "Idempotency-Key", schema, OpenApiParameter.HEADER, description=text
                )
            )
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

    def _with_envelope(self, body: Json, example: Json) -> Json:
        (media,) = body["content"].values()
        name = self.view.envelope
        content = {"schema": all_required({name: media["schema"]}), "example": {name: example}}
        return {"required": True, "content": {"application/json": content}}
