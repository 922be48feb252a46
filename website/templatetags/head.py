"""What search engines and other sites read of a page: `{% load head %}`, for `{% block head %}`."""

from datetime import datetime

from django import template
from django.conf import settings
from django.template.context import RequestContext
from django.utils.encoding import escape_uri_path
from django.utils.safestring import SafeString

from articles.texts import shortened
from website.kept_html import KeptHtml
from website.paths import absolute, feed_path, tag_path
from website.templatetags.previews import rendered_part
from website.templatetags.site import WEB_ADDRESS

register = template.Library()

# Characters. Search engines and previews show about as many.
DESCRIPTION_LENGTH = 200
# In each process 1 MiB: 700 pages.
heads = KeptHtml(2**20)


@register.simple_tag(takes_context=True)
def head(
    context: RequestContext,
    title: str,
    description: str = "",
    image: str | None = None,
    *,
    tag: str | None = None,
    author: str | None = None,
    published: datetime | None = None,
    updated: datetime | None = None,
) -> SafeString:
    """The address of the page, its preview in other sites, and links to its feeds.

    `tag` or `author` says of which list the feeds are; without them, they are of the site.
    `published` is given for an article only. A page without this tag is in no search engine.
    """
    request = context["request"]
    # Parameters that do not change the page are left out.
    path = tag_path(tag) if tag else escape_uri_path(request.path)
    page = context["pages"].number if "pages" in context else 1
    if page > 1:
        path += f"{'&' if '?' in path else '?'}page={page}"
    names = {"tag": tag} if tag else {"author": author} if author else {}
    values = {
        "address": absolute(request, path),
        "title": title,
        "description": shortened(description, DESCRIPTION_LENGTH),
        "image": image if image and WEB_ADDRESS.match(image) else None,
        "published": published,
        "updated": updated,
        "feeds_of": tag or author or "Conduit",
        "rss": feed_path("rss", **names),
        "atom": feed_path("atom", **names),
    }
    if settings.DEBUG:  # somebody may be changing the template
        return rendered_part("head", **values)
    return heads.of(repr(values), lambda: rendered_part("head", **values))
