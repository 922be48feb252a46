"""The paths of pages whose address has a name in it. Django's `reverse` takes eight times as long,
and a list has fifty links."""

from functools import lru_cache
from urllib.parse import quote, urlencode

from django.conf import settings
from django.http import HttpRequest

# The characters that `reverse` leaves as they are in a path (RFC 3986, section 3.3).
SAFE = "!$&'()*+,;=/~:@"


@lru_cache(maxsize=10_000)
def article_path(slug: str) -> str:
    return f"/article/{quote(slug, SAFE)}"


@lru_cache(maxsize=10_000)
def profile_path(username: str) -> str:
    return f"/profile/{quote(username, SAFE)}"


@lru_cache(maxsize=10_000)
def tag_path(name: str) -> str:
    """The path of a tag's feed.

    Browsers and proxies remove the segments "." and ".." of a path (RFC 3986, section 5.2.4), and
    some merge slashes. So a tag with such a segment is a parameter.
    """
    if {"", ".", ".."}.isdisjoint(name.split("/")):
        return f"/tag/{quote(name, SAFE)}"
    return f"/tag/?{urlencode({'name': name})}"


def feed_path(kind: str, **names: str) -> str:
    """The path of the feed of the site, of a `tag` or of an `author`. `kind` is "rss" or "atom"."""
    return f"/feeds/{kind}?{urlencode(names)}" if names else f"/feeds/{kind}"


def login_path(next_path: str) -> str:
    """The path of the log-in that leads to this path."""
    return f"/login?{urlencode({'next': next_path}, safe='/')}"


def absolute(request: HttpRequest, path: str) -> str:
    """The address of a path, for readers outside of the site. Its host is that of `SITE_URL`, or
    without it that of the request, which the client chooses."""
    return settings.SITE_URL + path if settings.SITE_URL else request.build_absolute_uri(path)
