"""Tags and filters of the site's templates: `{% load site %}`."""

import re

from django import template
from django.utils.encoding import iri_to_uri
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()

# Its name must stay as it is: clients look for it. So it is not a static file, whose name contains
# a hash.
DEFAULT_AVATAR = "/default-avatar.svg"
WEB_ADDRESS = re.compile(r"https?://", re.IGNORECASE)
IMAGE_ADDRESS = re.compile(r"https?://|data:image/", re.IGNORECASE)


@register.filter
def avatar(image: str | None) -> str:
    """The address of a user's picture: `image`, if its scheme is safe."""
    return image if image and IMAGE_ADDRESS.match(image) else DEFAULT_AVATAR


@register.simple_tag
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
    href = iri_to_uri(path)
    if context["request"].path == path:
        return format_html('class="nav-link active" href="{}" aria-current="page"', href)
    return format_html('class="nav-link" href="{}"', href)


@register.filter
def markdown(text: str) -> SafeString:
    """The HTML of a text in Markdown."""
    from articles.markdown import render  # takes 35 ms, which a process for the API does not need

    return render(text)
