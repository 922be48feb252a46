"""Fills in and sends an HTML form as a browser does.

The rules are from the HTML Living Standard: 4.10.22.4 "constructing the entry list" (line
breaks become CRLF), 4.10.5.1 "states of the type attribute" (one-line inputs drop line breaks),
and 13.2.3.5 "preprocessing the input stream" (CR becomes LF).
"""

import re
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode

from django.test import Client

FORM = "application/x-www-form-urlencoded"
ONE_LINE = {"text", "email", "url", "search", "tel", "password"}
WITHOUT_VALUE = {"submit", "button", "reset", "image", "file"}


class Form(HTMLParser):
    """The values that the form with this id ("" for a form without an id) sends.

    A test changes `values` before it sends the form.
    """

    def __init__(self, page: str, form_id: str) -> None:
        super().__init__()
        self.values: dict[str, list[str]] = {}
        self._form_id = form_id
        self._inside = False
        self._text: list[str] | None = None
        self._text_name = ""
        self._select: dict[str, Any] | None = None
        self.feed(re.sub(r"\r\n?", "\n", page))
        self.close()

    def encoded(self) -> str:
        def with_crlf(text: str) -> str:
            return re.sub(r"\r\n?|\n", "\r\n", text)

        return urlencode(
            [(with_crlf(name), with_crlf(v)) for name, all in self.values.items() for v in all]
        )

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag == "form":
            self._inside = (attributes.get("id") or "") == self._form_id
        if not self._inside:
            return
        if tag == "input":
            self._input(attributes)
        elif tag == "textarea":
            self._text, self._text_name = [], attributes.get("name") or ""
        elif tag == "select":
            self._select = attributes | {"options": [], "chosen": []}
        elif tag == "option" and self._select is not None:
            value = attributes.get("value") or ""
            self._select["options"].append(value)
            if "selected" in attributes:
                self._select["chosen"].append(value)

    def handle_data(self, data: str) -> None:
        if self._text is not None:
            self._text.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False
        elif tag == "textarea" and self._text is not None:
            # An HTML parser drops a line break directly after the start tag.
            self._add(self._text_name, "".join(self._text).removeprefix("\n"))
            self._text = None
        elif tag == "select" and self._select is not None:
            multiple = "multiple" in self._select
            chosen = self._select["chosen"]
            if not multiple:
                chosen = (chosen or self._select["options"])[-1 if chosen else 0 :][:1]
            if "disabled" not in self._select:
                for value in chosen:
                    self._add(self._select["name"], value)
            self._select = None

    def _input(self, attributes: dict[str, str | None]) -> None:
        kind = attributes.get("type") or "text"
        value = attributes.get("value") or ""
        if kind in WITHOUT_VALUE or "disabled" in attributes:
            return
        if kind in {"checkbox", "radio"}:
            if "checked" not in attributes:
                return
            value = attributes.get("value") or "on"
        if kind in ONE_LINE:
            value = re.sub(r"[\r\n]", "", value)
        if kind == "email":
            value = value.strip(" \t\n\f\r")
        self._add(attributes.get("name") or "", value)

    def _add(self, name: str, value: str) -> None:
        if name:
            self.values.setdefault(name, []).append(value)


def open_form(client: Client, url: str, form_id: str) -> Form:
    """The form on the page at `url`, with the values that a browser shows."""
    response = client.get(url)
    assert response.status_code == 200, response
    return Form(response.content.decode(), form_id)


def send(client: Client, url: str, form: Form, button: str = "_save") -> Any:
    """Send the form with the button of this name; "" is a button without a name."""
    body = f"{form.encoded()}&{urlencode({button: 'Save'} if button else {})}"
    return client.post(url, body, content_type=FORM)
