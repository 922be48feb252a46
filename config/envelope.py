"""The wire format: `{"article": …}` in and out, `{"articles": […], "articlesCount": n}`.

A view names its envelope. No other module reads or writes envelopes.
"""

from codecs import BOM_UTF8
from collections.abc import Iterable
from typing import IO, Any

import orjson
from rest_framework.exceptions import ParseError, UnsupportedMediaType, ValidationError
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import JSONParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request


class EnvelopeParser(JSONParser):
    """Takes the view's object out of its envelope. A subclass of JSONParser, because DRF limits the
    size of the body only for that class."""

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Any = None,
    ) -> dict[str, Any]:
        encoding = parser_context["request"].META.get("HTTP_CONTENT_ENCODING", "")
        if encoding.lower() not in ("", "identity"):
            raise UnsupportedMediaType(encoding, code="compressed")
        try:
            # RFC 8259, section 8.1: a parser may ignore a byte order mark.
            body = orjson.loads(stream.read().removeprefix(BOM_UTF8))
        except orjson.JSONDecodeError as error:
            raise ParseError from error
        if not isinstance(body, dict):
            raise ParseError(code="not_an_object")
        name = parser_context["view"].envelope
        content = body.get(name)
        if content is None:
            # The same as an object without fields. A PUT accepts that, so here it is refused.
            if parser_context["request"].method == "PUT":
                raise ValidationError({name: [""]}, code="blank")
            return {}
        if not isinstance(content, dict):
            raise ValidationError({name: [""]}, code="not_an_object")
        return content


class EnvelopeRenderer(BaseRenderer):
    media_type = "application/json"
    format = "json"
    charset = None  # the media type of JSON has no charset (RFC 8259, section 11)

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Any = None,
    ) -> bytes:
        if data is None:
            return b""
        response = renderer_context.get("response")  # DRF's; None for the answer to a read
        if response is None or not response.exception:
            data = _wrapped(renderer_context["view"].envelope, data)
        return orjson.dumps(data)


def _wrapped(name: str, data: Any) -> dict[str, Any]:
    """One row, a list of rows, or a page of them in DRF's shape, in the envelope."""
    match data:
        case {"results": rows, "count": count}:
            return {f"{name}s": rows, f"{name}sCount": count}
        case list():
            return {f"{name}s": data}
    return {name: data}


class AlwaysJSON(DefaultContentNegotiation):
    """Answers with JSON, also if the client does not accept it: there is no other format, and JSON
    is more useful than a 406."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        renderer = next(iter(renderers))
        return renderer, renderer.media_type
