"""Hooks of Schemathesis: what the API demands of a request and a schema cannot say."""

import os
import re
from typing import Any
from uuid import uuid4

import schemathesis


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    headers, query = case.headers or {}, case.query or {}
    # A key is for one request. Schemathesis makes the same one up for several.
    if re.fullmatch("[!-~]([ -~]*[!-~])?", str(headers.get("Idempotency-Key", ""))):
        headers["Idempotency-Key"] = str(uuid4())
    # Nobody can make up the key of a page: it is signed. It is not together with an offset.
    if re.fullmatch("[A-Za-z0-9_-]{32}", str(query.get("before", ""))):
        query["before"] = os.environ["PAGE_KEY"]
        query.pop("offset", None)
    case.body = without_spaces(case.body)


def without_spaces(value: Any) -> Any:
    """White space around a name or a title is removed before its length is checked. So a text that
    is too long only because of spaces is accepted."""
    if isinstance(value, dict):
        return {key: without_spaces(each) for key, each in value.items()}
    if isinstance(value, list):
        return [without_spaces(each) for each in value]
    is_text = isinstance(value, str) and value.strip()
    return re.sub(r"\s", "x", value) if is_text else value
