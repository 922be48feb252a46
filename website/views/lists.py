"""Lists of articles: the home page, the reader's feed, the feed of a tag, and the search."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from articles.entries import TAG_LENGTH
from articles.queries import (
    ArticleInListRow,
    list_articles,
    search_articles,
    tags_most_used_first,
)
from articles.search import MAX_MATCHES
from database.prepared import Prepared, together
from website.access import login_required
from website.pages import show, viewer_of
from website.paging import PER_PAGE, Pages, offset_of, page_number

POPULAR_TAGS = 20


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    if request.GET.get("feed") == "following":
        return _feed(request)
    return _show_list(request, "home", list_articles, tab="global")


@login_required
def _feed(request: HttpRequest) -> HttpResponse:
    return _show_list(request, "home", list_articles, {"feed_of": viewer_of(request)}, tab="feed")


@require_safe
def tag(request: HttpRequest, tag: str) -> HttpResponse:
    return _tag(request, tag)


@require_safe
def tag_in_parameter(request: HttpRequest) -> HttpResponse:
    """The feed of a tag whose name cannot be a part of a path (`website.paths.tag_path`)."""
    return _tag(request, request.GET.get("name", ""))


def _tag(request: HttpRequest, tag: str) -> HttpResponse:
    if not tag or len(tag) > TAG_LENGTH or "\0" in tag:
        raise Http404("There is no such tag.")
    return _show_list(request, "home", list_articles, {"tag": tag}, tab="tag", tag=tag)


@require_safe
def search(request: HttpRequest) -> HttpResponse:
    # PostgreSQL stores no NUL, and psycopg raises an error for a parameter that contains one.
    text = request.GET.get("q", "").replace("\0", " ").strip()
    shown = {"text": text, "most": MAX_MATCHES}
    return _show_list(request, "search", search_articles, {"text": text}, **shown)


def _show_list(
    request: HttpRequest,
    template: str,
    query: Prepared[..., ArticleInListRow],
    filters: dict[str, Any] | None = None,
    **context: Any,
) -> HttpResponse:
    """A page of the list, beside the popular tags."""
    # In one round trip.
    rows, tags = together(
        query.call(**(filters or {}), **place_of(request)),
        tags_most_used_first.call(limit=POPULAR_TAGS),
    )
    context |= shown_in_list(request, rows)
    context["popular_tags"] = [tag.name for tag in tags[:POPULAR_TAGS]]
    return show(request, template, context)


def place_of(request: HttpRequest) -> dict[str, Any]:
    """The arguments of a list for the page that the address names, as the reader sees it. Raises
    Http404."""
    offset = offset_of(page_number(request))
    return {"limit": PER_PAGE, "offset": offset, "viewer": viewer_of(request)}


def shown_in_list(request: HttpRequest, rows: list[ArticleInListRow]) -> dict[str, Any]:
    """What `parts/list.html` shows. Raises Http404 for a page after the last one. The first page
    may be empty."""
    number = page_number(request)
    if number > 1 and not rows:
        raise Http404("There is no such page.")
    return {"articles": rows, "pages": Pages(number, rows[0].total if rows else 0)}
