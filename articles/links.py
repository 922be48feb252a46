"""URLs that answers name: the next page of a list, and an article whose slug has changed."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from django.urls import resolve, reverse
from rest_framework import status
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from articles.queries import current_slug

# What may stand in a query string (RFC 3986, section 3.4), and brackets, which clients send as
# they are.
QUERY_CHARACTERS = "!$&'()*+,;=:@/?%[]"


class ArticleNotFound(NotFound):
    """No article has the slug in the path."""

    def __init__(self) -> None:
        super().__init__({"article": ["not found"]})


class OldSlugMixin(APIView):
    """Redirects a read of an article under an old slug to the slug that it has now.

    Only a read that finds no article costs the statement that looks for the slug.
    """

    def handle_exception(self, exc: Exception) -> Response:
        # PostgreSQL stores no NUL, and its driver refuses to ask for one.
        if (
            isinstance(exc, ArticleNotFound)
            and self.request.method in ("GET", "HEAD")
            and "\0" not in self.kwargs["slug"]
            and (rows := current_slug(any_slug=self.kwargs["slug"]))
        ):
            return self._redirect(rows[0].slug)
        return super().handle_exception(exc)

    def _redirect(self, slug: str) -> Response:
        """The slug may be the one in the path, if the article has got it back since the first
        look-up: the client then comes again and finds it."""
        route = resolve(self.request.path_info).view_name
        location = reverse(route, kwargs={**self.kwargs, "slug": slug})
        if query := query_string(self.request):
            location += "?" + quote(query.encode("latin-1"), safe=QUERY_CHARACTERS)
        return Response(
            status=status.HTTP_301_MOVED_PERMANENTLY,
            # Without it, browsers keep a 301 for good. The article may get its old slug back:
            # the browser would then go back and forth between the two.
            headers={"Location": location, "Cache-Control": "no-cache"},
        )


def query_string(request: Request) -> str:
    """The text after the "?", in Latin-1, as WSGI has it. WSGI makes the variable optional."""
    text: str = request.META.get("QUERY_STRING", "")
    return text


def link_to_next(
    request: Request, rows: Sequence[Any], *, limit: int, offset: int
) -> dict[str, str]:
    """The header `Link` of a page, if `rows` has more than the `limit` that the page shows."""
    if len(rows) <= limit:
        return {}
    parameters = request.query_params.copy()
    parameters["offset"] = str(offset + limit)
    url = request.build_absolute_uri(f"{request.path}?{parameters.urlencode()}")
    return {"Link": f'<{url}>; rel="next"'}
