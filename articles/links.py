"""URLs in response headers: the next page of a list, and the current URL of an article."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, unquote_plus

from django.http import HttpRequest
from django.urls import resolve, reverse
from rest_framework import status
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from articles.page_keys import PageKey
from articles.queries import ArticleInListRow, current_slug
from users.serializer_fields import refuse_nul

# The characters allowed in a query string (RFC 3986, section 3.4), and brackets, which clients
# send unescaped.
QUERY_CHARACTERS = "!$&'()*+,;=:@/?%[]"
# The parameters that say where a page begins.
POSITIONS = ("offset", "before")


class ArticleNotFound(NotFound):
    """No article has the slug in the path."""

    default_detail = {"article": "not found"}


class SlugInPathMixin(APIView):
    """A view whose path may contain the slug of an article.

    A GET for an old slug is redirected to the current slug. The extra query runs only if no
    article was found.
    """

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        refuse_nul(kwargs.get("slug", ""), "article")

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, ArticleNotFound) and (headers := redirect_to_current_slug(self.request)):
            return Response(status=status.HTTP_301_MOVED_PERMANENTLY, headers=headers)
        return super().handle_exception(exc)


def redirect_to_current_slug(request: Request | HttpRequest) -> dict[str, str] | None:
    """The headers of a redirect to the same route with the current slug of the article. None if the
    `slug` in the path never was one of an article, and for a write.

    It may be the slug of the request, if the article got it back after the first query. The client
    then repeats the request and finds the article.
    """
    if request.method not in ("GET", "HEAD"):
        return None
    route = resolve(request.path_info)
    rows = current_slug(any_slug=route.kwargs["slug"])
    if not rows:
        return None
    location = reverse(route.view_name, kwargs={**route.kwargs, "slug": rows[0].slug})
    if query := query_string(request):
        location += "?" + _quoted(query)
    # By default browsers cache a 301 forever. If the article gets its old slug back, two cached
    # redirects would form a loop.
    return {"Location": location, "Cache-Control": "no-cache"}


def query_string(request: Request | HttpRequest) -> str:
    """The text after the "?", decoded as Latin-1, as in WSGI. WSGI servers may leave it out."""
    text: str = request.META.get("QUERY_STRING", "")
    return text


def link_by_offset(
    request: Request, rows: Sequence[Any], *, limit: int, offset: int
) -> dict[str, str]:
    """The header `Link` of a page, or no header if `rows` has at most `limit` rows."""
    return _link_to_next(request, f"offset={offset + limit}") if len(rows) > limit else {}


def link_by_key(request: Request, last: ArticleInListRow) -> dict[str, str]:
    """The header `Link` of a page that ends with this article."""
    return _link_to_next(request, f"before={PageKey(last.created_at, last.pk).encoded()}")


def _link_to_next(request: Request, position: str) -> dict[str, str]:
    """The header `Link`: the URL of the request with another position, such as "offset=20"."""
    # The text is edited. To parse it and build it again takes three times as long.
    others = [
        part
        for part in query_string(request).split("&")
        if part and unquote_plus(part.partition("=")[0]) not in POSITIONS
    ]
    url = request.build_absolute_uri(request.path) + "?" + _quoted("&".join([*others, position]))
    return {"Link": f'<{url}>; rel="next"'}


def _quoted(query: str) -> str:
    return quote(query.encode("latin-1"), safe=QUERY_CHARACTERS)
