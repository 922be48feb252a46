"""What search engines read: robots.txt and the sitemap.

Django's sitemaps would find a page by its offset, and render it with a template: 1 s for a page
of 10,000 articles near the end of a million. Here a page is a block of ids.
"""

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import escape
from django.views.decorators.http import require_safe

from articles.id_blocks import articles_of_block, blocks_with_articles
from website.pages import cached_by_proxies
from website.paths import absolute, article_path

CACHE_CONTROL = "public, max-age=3600"  # seconds

# Pages for people with an account, pages for programs, and a search, which is costly.
PRIVATE = (
    *("/admin/", "/api/", "/health", "/metrics"),
    *("/editor", "/login", "/logout", "/password", "/register", "/search", "/settings"),
    "/*?feed=",
)
NAMESPACE = "http://www.sitemaps.org/schemas/sitemap/0.9"


@require_safe
def robots(request: HttpRequest) -> HttpResponse:
    sitemap = absolute(request, reverse("website:sitemap"))
    lines = ["User-agent: *", *(f"Disallow: {path}" for path in PRIVATE), "", f"Sitemap: {sitemap}"]
    response = HttpResponse("\n".join(lines) + "\n", content_type="text/plain; charset=utf-8")
    return cached_by_proxies(request, response, CACHE_CONTROL)


@require_safe
def sitemap(request: HttpRequest) -> HttpResponse:
    """The addresses of the sitemap's pages: one for each block of ids that has articles."""
    pages = [reverse("website:sitemap_page", args=[block]) for block in blocks_with_articles()]
    entries = [f"<sitemap><loc>{_absolute(request, page)}</loc></sitemap>" for page in pages]
    return _xml(request, "sitemapindex", entries)


@require_safe
def sitemap_page(request: HttpRequest, block: int) -> HttpResponse:
    """The articles of a block. Not the lists of tags and people: links in articles lead to them."""
    rows = articles_of_block(block)
    if not rows:
        raise Http404("There is no such page.")
    site = _absolute(request, "/").removesuffix("/")
    entries = [
        # Without the cache of the paths, which one page would fill.
        f"<url><loc>{site}{escape(article_path.__wrapped__(slug))}</loc>"
        f"<lastmod>{updated_at.isoformat(timespec='seconds')}</lastmod></url>"
        for slug, updated_at in rows
    ]
    return _xml(request, "urlset", entries)


def _absolute(request: HttpRequest, path: str) -> str:
    return escape(absolute(request, path))


def _xml(request: HttpRequest, element: str, entries: list[str]) -> HttpResponse:
    text = "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            f'<{element} xmlns="{NAMESPACE}">',
            *entries,
            f"</{element}>\n",
        ]
    )
    response = HttpResponse(text, content_type="application/xml; charset=utf-8")
    return cached_by_proxies(request, response, CACHE_CONTROL)
