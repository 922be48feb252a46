"""Hooks of Schemathesis: what the API demands of a request and a schema cannot say."""

import os
import re
from typing import Any
from uuid import uuid4

import schemathesis

LARGEST = 2**63 - 1


@schemathesis.hook
def before_load_schema(context: Any, raw_schema: dict[str, Any]) -> None:
    """The maximum of a `limit` is the largest page. A larger limit is not refused: it is served as
    the largest."""
    for item in raw_schema["paths"].values():
        for parameter in item.get("get", {}).get("parameters", []):
            if parameter["name"] == "limit":
                parameter["schema"]["maximum"] = LARGEST


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    headers, query, path = case.headers or {}, case.query or {}, case.path_parameters or {}
    # A key is for one request. Schemathesis makes the same one up for several.
    if re.fullmatch("[!-~]([ -~]*[!-~])?", str(headers.get("Idempotency-Key", ""))):
        headers["Idempotency-Key"] = str(uuid4())
    # Nobody can make up the key of a page: it is signed. It is not together with an offset.
    if re.fullmatch("[A-Za-z0-9_-]{32}", str(query.get("before", ""))):
        query["before"] = os.environ["PAGE_KEY"]
        query.pop("offset", None)
    # Users cannot follow themselves.
    if path.get("username") == "alice":
        path["username"] = "bob"
