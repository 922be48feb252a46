"""A client of the API: it sends JSON, and a token in the header `Authorization`."""

import re
from typing import Any

from django.conf import settings
from django.test import Client

from tests.described import problems
from users import tokens
from users.models import User


class ApiClient(Client):
    """Sends `data` as JSON; bytes are sent unchanged. Each answer must be as the description of the
    API says."""

    def __init__(self, user: User | None = None, **options: Any) -> None:
        if user is not None:
            token = tokens.issue(user.pk, user.token_generation)
            header = {"Authorization": f"Token {token}"}
            options["headers"] = header | options.get("headers", {})
        super().__init__(**options)

    def request(self, **environ: Any) -> Any:
        response = super().request(**environ)
        if not settings.SECURE_SSL_REDIRECT:  # the redirect is not of the API
            found = problems(environ["REQUEST_METHOD"], environ["PATH_INFO"], response)
            assert found == []
        return response

    def post(self, path: str, data: Any = b"", content_type: str = "application/json", **o: Any):  # type: ignore[no-untyped-def,override]
        return super().post(path, data, content_type=content_type, **o)

    def put(self, path: str, data: Any = b"", content_type: str = "application/json", **o: Any):  # type: ignore[no-untyped-def,override]
        return super().put(path, data, content_type=content_type, **o)


def next_page_of(response: Any) -> str | None:
    """The URL of the next page from the header `Link`; None without the header."""
    link = response.headers.get("Link")
    if link is None:
        return None
    found = re.fullmatch('<([^<>]+)>; rel="next"', link)
    assert found, link
    return found[1]
