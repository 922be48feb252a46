"""Lists of articles: the home page and the feed of a tag."""

from functools import partial

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from articles.queries import list_articles, tags_most_used_first
from website.pages import show, viewer_of
from website.paging import PER_PAGE, Pages, offset_of, page_number

POPULAR_TAGS = 20


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    return _list(request, tab="global")


@require_safe
def tag(request: HttpRequest, tag: str) -> HttpResponse:
    return _list(request, tab="tag", tag=tag)


def _list(request: HttpRequest, *, tab: str, tag: str | None = None) -> HttpResponse:
    number, viewer = page_number(request), viewer_of(request)
    query = partial(list_articles, viewer=viewer, limit=PER_PAGE, offset=offset_of(number))
    rows = query() if tag is None else query(tag=tag)
    if number > 1 and not rows:
        raise Http404("There is no such page.")
    context = {
        "tab": tab,
        "tag": tag,
        "articles": rows,
        "pages": Pages(number, rows[0].total if rows else 0),
        "popular_tags": tags_most_used_first(limit=POPULAR_TAGS)[:POPULAR_TAGS],
    }
    return show(request, "home", context)
