"""The description has everything that the public API has (realworld.yaml), and is valid."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema_rs
import pytest
import yaml
from drf_spectacular.validation import validate_schema

from tests.described import Json, closed, description, operations, resolved

PUBLIC = yaml.safe_load(Path(__file__).with_name("realworld.yaml").read_text())
OURS = {f"{method} {path}": operation for method, path, operation in operations()}

READS = {name for name in OURS if name.startswith("GET")}
WRITES = OURS.keys() - READS
BODIES = {name for name in OURS if "requestBody" in OURS[name]}
KEYED = {
    name
    for name, operation in OURS.items()
    if any(each["name"] == "Idempotency-Key" for each in operation.get("parameters", []))
}
VIEWED = {"GET /articles", "GET /profiles/{username}", "GET /articles/{slug}/comments"}


class Difference(NamedTuple):
    statuses: set[int]
    operations: set[str]
    reason: str


MISSING = [
    Difference({401}, VIEWED, "an invalid token counts as none, so that clients still read"),
    Difference(
        {422},
        {name for name in OURS if "422" not in OURS[name]["responses"]},
        "the request has no input besides the path",
    ),
    Difference({409}, {"POST /articles"}, "the same title gives another slug"),
]
ADDED = [
    Difference({400, 500, 503, 504}, {*OURS}, "malformed requests, and failures of the server"),
    Difference({429}, WRITES, "writes have limits"),
    Difference({408, 411, 413, 415}, BODIES, "bodies that are late, too large or no JSON"),
    Difference({409}, {"PUT /user"}, "another user may have the new name or e-mail"),
    Difference(
        {301},
        {"GET /articles/{slug}", "GET /articles/{slug}/comments"},
        "an old slug leads to the new one",
    ),
    Difference({404}, {"POST /articles"}, "a repeated request whose article is deleted"),
]


def statuses_in(differences: list[Difference], operation: str) -> set[int]:
    found = [each.statuses for each in differences if operation in each.operations]
    return set().union(*found)


def fields_of(schema: Json) -> dict[str, str]:
    """The fields as realworld.yaml has them: a name with "?" may be absent."""
    schema = resolved(schema)
    required = schema.get("required", [])
    return {
        name if name in required else f"{name}?": type_of(field)
        for name, field in schema["properties"].items()
    }


def type_of(schema: Json) -> str:
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if schema["type"] == "array":
        return f"list of {type_of(schema['items'])}"
    if isinstance(schema["type"], list):
        return " or ".join(schema["type"])
    return str(schema["type"])


def envelope_of(content: Json) -> dict[str, str]:
    return fields_of(content["content"]["application/json"]["schema"])


def test_it_has_the_operations_of_the_public_api() -> None:
    assert {name: each["operationId"] for name, each in OURS.items()} == {
        name: each["name"] for name, each in PUBLIC["operations"].items()
    }


@pytest.mark.parametrize("name", PUBLIC["objects"])
def test_an_object_has_the_public_fields(name: str) -> None:
    ours = fields_of(description()["components"]["schemas"][name])

    assert ours == PUBLIC["objects"][name]


@pytest.mark.parametrize("name", PUBLIC["operations"])
def test_an_operation_has_the_input_and_the_answers_of_the_public_one(name: str) -> None:
    ours, public = OURS[name], PUBLIC["operations"][name]

    parameters = {each["name"]: each["in"] for each in ours.get("parameters", [])}
    assert parameters.items() >= public.get("parameters", {}).items()
    body, public_body = ours.get("requestBody"), public.get("body")
    assert (body and envelope_of(body)) == public_body
    if body:
        assert body["required"] is True
    success = min(ours["responses"])
    assert int(success) == public["statuses"][0]
    answer = ours["responses"][success]
    assert (envelope_of(answer) if "content" in answer else None) == public.get("answer")
    needs_token = {} not in ours["security"]
    assert needs_token == (public.get("token") == "required")


@pytest.mark.parametrize("name", PUBLIC["operations"])
def test_the_statuses_differ_only_as_listed(name: str) -> None:
    ours = {int(status) for status in OURS[name]["responses"]}
    public = set(PUBLIC["operations"][name]["statuses"])

    assert public - ours == statuses_in(MISSING, name)
    assert ours - public == statuses_in(ADDED, name)


def test_it_is_valid_openapi() -> None:
    validate_schema(description())  # type: ignore[no-untyped-call]  # has no types
    names = [each["operationId"] for each in OURS.values()]
    assert len(names) == len(set(names))


def test_each_reference_leads_somewhere_and_each_component_is_used() -> None:
    document = description()
    text = json.dumps(document)

    for kind, components in document["components"].items():
        for name in components:
            pointer = f'"#/components/{kind}/{name}"'
            used = pointer in text or kind == "securitySchemes"
            assert used, pointer
    closed(document["paths"])  # KeyError for a reference without a target


def test_each_example_fits_its_schema() -> None:
    described = [media for operation in OURS.values() for media in contents_of(operation)]
    described += description()["components"]["schemas"].values()
    for each in described:
        schema = jsonschema_rs.Draft202012Validator(
            closed(each.get("schema", each)), validate_formats=True
        )
        for example in examples_of(each):
            schema.validate(example)


def test_each_body_has_an_example() -> None:
    for name, operation in OURS.items():
        for media in contents_of(operation):
            assert examples_of(media), name


def contents_of(operation: Json) -> Iterator[Json]:
    """The bodies of the request and of all answers."""
    for each in (operation.get("requestBody", {}), *operation["responses"].values()):
        yield from resolved(each).get("content", {}).values()


def examples_of(described: Json) -> list[Any]:
    """The examples of a body, or of a schema."""
    if "example" in described:
        return [described["example"]]
    examples = described.get("examples", [])
    return [each["value"] for each in examples.values()] if isinstance(examples, dict) else examples
