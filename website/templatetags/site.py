"""Tags and filters of the site's templates: `{% load site %}`."""

import re
from datetime import UTC, datetime
from functools import lru_cache

from django import template
from django.utils.dateformat import format as format_date
from django.utils.encoding import iri_to_uri
from django.utils.html import format_html
from django.utils.safestring import SafeString

from articles.representations import timestamp
from website.kept_html import KeptHtml
from website.paths import article_path, profile_path, tag_path

register = template.Library()

# Its name must stay as it is: clients look for it. So it is not a static file, whose name contains
# a hash.
DEFAULT_AVATAR = "/default-avatar.svg"
WEB_ADDRESS = re.compile(r"https?://", re.IGNORECASE)
# In each process 16 MiB: 1,000 articles of 10,000 characters. Rendering a text of 5,000 characters
# takes 4 ms, and of 200,000 characters 0.2 s.
texts = KeptHtml(16 * 2**20)
IMAGE_ADDRESS = re.compile(r"https?://|data:image/", re.IGNORECASE)


@register.filter
def avatar(image: str | None) -> str:
    """The address of a user's picture: `image`, if its scheme is safe."""
    return image if image and IMAGE_ADDRESS.match(image) else DEFAULT_AVATAR


@register.simple_tag
@lru_cache(maxsize=100)
def icon(name: str) -> SafeString:
    """An icon of `website/icons.html`."""
    return format_html(
        '<svg class="icon" width="20" height="20" aria-hidden="true"><use href="#icon-{}"/></svg>',
        name,
    )


@register.simple_tag(takes_context=True)
def nav_link(context: template.Context, path: str) -> SafeString:
    """The attributes of a link in the bar. It is `active` on the page of this path, also if a form
    on it was sent and had errors."""
    return _nav_link(path, is_active=context["request"].path == path)


@lru_cache(maxsize=100)
def _nav_link(path: str, *, is_active: bool) -> SafeString:
    href = iri_to_uri(path)
    if is_active:
        return format_html('class="nav-link active" href="{}" aria-current="page"', href)
    return format_html('class="nav-link" href="{}"', href)


@register.filter
def markdown(text: str) -> SafeString:
    """The HTML of a text in Markdown."""

    def make() -> SafeString:
        from articles.markdown import render  # takes 35 ms, and the API does not need it

        return render(text)

    return texts.of(text, make)


register.filter(article_path)
register.filter(profile_path)
register.filter(tag_path)


@register.filter
@lru_cache(maxsize=10_000)
def date_tag(moment: datetime) -> SafeString:
    """The day as an element, such as `February 3, 2001`."""
    day = format_date(moment.astimezone(UTC), "F j, Y")
    return format_html('<time class="date" datetime="{}">{}</time>', timestamp(moment), day)
