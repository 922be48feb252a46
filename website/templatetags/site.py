"""Tags and filters of the site's templates: `{% load site %}`."""

import re

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()

# Its name must stay as it is: clients look for it. So it is not a static file, whose name contains
# a hash.
DEFAULT_AVATAR = "/default-avatar.svg"
IMAGE_ADDRESS = re.compile(r"https?://|data:image/", re.IGNORECASE)


@register.filter
def avatar(image: str | None) -> str:
    """The address of a user's picture: `image`, if its scheme is safe."""
    return image if image and IMAGE_ADDRESS.match(image) else DEFAULT_AVATAR


@register.simple_tag
def icon(name: str) -> SafeString:
    """An icon of `website/icons.html`."""
    return format_html('<svg class="icon" aria-hidden="true"><use href="#icon-{}"/></svg>', name)
