"""The whole description, made once in a process: it is the same for all clients."""

import json
from functools import cache
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import yaml
from drf_spectacular.generators import SchemaGenerator

from config.openapi.errors import RESPONSES
from config.openapi.headers import HEADERS
from config.openapi.inspector import Inspector
from config.openapi.operations import OPERATIONS
from config.openapi.schemas import SCHEMAS, Json

INTRODUCTION = Path(__file__).with_name("introduction.md")
SECURITY_SCHEMES: dict[str, Json] = {
    "Token": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "The token that a login answers, after the word Token: `Token eyJ…`. On "
        "this page the word is added for you.",
    },
    "Bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "The same token, after the word Bearer.",
    },
}
METHODS = ("get", "post", "put", "patch", "delete")


class Rendered(NamedTuple):
    content: bytes
    etag: str


class Generator(SchemaGenerator):
    """drf-spectacular's generator, with `Inspector`, and with what belongs to no operation."""

    def create_view(self, callback: Any, method: str, request: Any = None) -> Any:
        view = super().create_view(callback, method, request)
        # Not by the setting DEFAULT_SCHEMA_CLASS: DRF imports that class at the start of a worker.
        self._set_schema_to_view(view, Inspector())
        return view

    def get_schema(self, request: Any = None, public: bool = False) -> Json:
        document: Json = super().get_schema(request, public)
        document["info"]["description"] = INTRODUCTION.read_text()
        # DRF takes the methods of a path from a set, which has another order in each process.
        document["paths"] = {
            path: {name: operations[name] for name in sorted(operations, key=METHODS.index)}
            for path, operations in document["paths"].items()
        }
        # In the order of `OPERATIONS`.
        tags = dict.fromkeys(operation.tag for operation in OPERATIONS.values())
        document["tags"] = [{"name": tag} for tag in tags]
        components = document["components"]
        components["schemas"] = dict(sorted((SCHEMAS | components["schemas"]).items()))
        components["responses"] = RESPONSES
        components["headers"] = HEADERS
        components["securitySchemes"] = SECURITY_SCHEMES
        return document


_lock = Lock()


def rendered(format: str) -> Rendered:
    """The description as "json" or "yaml"."""
    with _lock:  # drf-spectacular uses global variables while it generates
        return _rendered(format)


@cache
def _rendered(format: str) -> Rendered:
    document = Generator().get_schema(public=True)
    # Through JSON, because YAML has anchors for objects that appear twice.
    text = json.dumps(document, ensure_ascii=False, indent=2)
    if format == "yaml":
        # In C, if PyYAML has it: ten times as fast.
        dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
        text = yaml.dump(
            json.loads(text), Dumper=dumper, allow_unicode=True, sort_keys=False, width=100
        )
    content = text.encode()
    return Rendered(content, f'"{sha256(content).hexdigest()[:32]}"')
