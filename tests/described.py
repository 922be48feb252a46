"""Compares answers with the description of the API in OpenAPI."""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from typing import Any

import jsonschema_rs

from config.openapi.document import rendered

type Json = dict[str, Any]

METHODS = ("get", "post", "put", "delete")
# Headers of HTTP, of CORS and of all pages of this server. The description leaves them out.
OTHER_HEADERS = {
    "access-control-allow-origin",
    "access-control-expose-headers",
    "content-length",
    "content-security-policy",
    "content-type",
    "cross-origin-opener-policy",
    "date",
    "permissions-policy",
    "referrer-policy",
    "server",
    "strict-transport-security",
    "x-content-type-options",
    "x-frame-options",
}


@cache
def description() -> Json:
    document: Json = json.loads(rendered("json").content)
    return document


def resolved(value: Any) -> Any:
    """What a reference points to."""
    while isinstance(value, dict) and "$ref" in value:
        name = value["$ref"].removeprefix("#/").split("/")
        value = description()
        for part in name:
            value = value[part]
    return value


def operations() -> Iterator[tuple[str, str, Json]]:
    """The method, the path and the description of each operation."""
    for path, item in description()["paths"].items():
        for method in METHODS:
            if method in item:
                yield method.upper(), path, item[method]


@lru_cache(1_000)
def operation_of(method: str, path: str) -> Json | None:
    """The operation of a request, for example GET /api/tags."""
    paths = description()["paths"]
    path = path.removeprefix("/api")
    # /articles/feed comes before /articles/{slug}, which matches too.
    template = path if path in paths else next((each for each in paths if _fits(each, path)), "")
    operation: Json | None = paths.get(template, {}).get(
        "get" if method == "HEAD" else method.lower()
    )
    return operation


def _fits(template: str, path: str) -> bool:
    return bool(re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path, re.DOTALL))


# The values of these keywords are data, not schemas.
DATA = ("enum", "example", "examples", "default")


def closed(schema: Any) -> Any:
    """The schema with all references replaced, which also refuses keys that it does not have."""
    schema = resolved(schema)
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    replaced = {key: value if key in DATA else closed(value) for key, value in schema.items()}
    if "properties" in schema:
        replaced.setdefault("additionalProperties", False)
    return replaced


def problems(method: str, path: str, response: Any) -> list[str]:
    """How the answer differs from its description. [] for a path or method without one."""
    operation = operation_of(method, path)
    if operation is None:
        return []
    name, status = operation["operationId"], str(response.status_code)
    if status not in operation["responses"]:
        return [f"status {status}"]
    found = [*_header_problems(_answer(name, status)["headers"], response.headers)]
    if method != "HEAD" and not response.streaming:
        found += _body_problems(_validator(name, status), response)
    return found


def _header_problems(described: Json, headers: Mapping[str, str]) -> Iterator[str]:
    found = {name.lower(): value for name, value in headers.items()}
    for name, reference in described.items():
        header = resolved(reference)
        value = found.pop(name.lower(), None)
        if value is None:
            if header.get("required"):
                yield f"no header {name}"
        elif not _validator_of_header(name).is_valid(value):
            yield f"header {name}: {value}"
    yield from (f"header {name}" for name in found if name not in OTHER_HEADERS)


def _body_problems(validator: Any, response: Any) -> Iterator[str]:
    if validator is None:
        if response.content:
            yield "a body"
        return
    if response.headers["Content-Type"] != "application/json":
        yield f"content type {response.headers['Content-Type']}"
    body = json.loads(response.content)
    yield from (f"body: {error.message}" for error in validator.iter_errors(body))


@cache
def _validator_of_header(name: str) -> Any:
    return _compiled(description()["components"]["headers"][name]["schema"])


@cache
def _validator(operation_id: str, status: str) -> Any:
    """None for an answer without a body."""
    content = _answer(operation_id, status).get("content")
    return content and _compiled(closed(content["application/json"]["schema"]))


def _compiled(schema: Json) -> Any:
    # Written in Rust: 50 µs for an answer. The package `jsonschema` takes 5 ms.
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True)


@cache
def _answer(operation_id: str, status: str) -> Json:
    (operation,) = (each for _, _, each in operations() if each["operationId"] == operation_id)
    answer: Json = resolved(operation["responses"][status])
    return answer
