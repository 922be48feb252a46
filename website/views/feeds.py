"""RSS and Atom feeds: the newest articles of the site, of a tag, of an author.

They use the low-level part of Django's syndication framework: its class `Feed` gives the methods of
an article no request, which names the host of the identity, and has no ETag.
"""

import re
from datetime import UTC, datetime
from urllib.parse import urlsplit

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.feedgenerator import Atom1Feed, Rss201rev2Feed, SyndicationFeed
from django.utils.html import escape
from django.views.decorators.http import require_safe

from articles.entries import TAG_LENGTH
from articles.queries import ArticleInListRow, list_articles
from profiles.queries import profile_named
from users.names import USERNAME_LENGTH, nfc
from website.pages import cached_by_proxies
from website.paths import absolute, article_path, feed_path, profile_path, tag_path

# Programs ask for feeds again and again, and an article may be a few minutes late.
CACHE_CONTROL = "public, max-age=300"  # seconds

# The characters that no XML document can contain (XML 1.0, section 2.2). Texts may have them.
NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# Without an article, Django takes the current time, and each answer would be a new version.
NEVER = datetime(1970, 1, 1, tzinfo=UTC)


class _Dated(SyndicationFeed):
    def latest_post_date(self) -> datetime:
        latest: datetime = super().latest_post_date() if self.items else NEVER
        return latest


class Rss(_Dated, Rss201rev2Feed):
    pass


class Atom(_Dated, Atom1Feed):
    pass


KINDS: dict[str, type[Rss | Atom]] = {"rss": Rss, "atom": Atom}


@require_safe
def feed(request: HttpRequest, kind: str) -> HttpResponse:
    """The feed of the site, or that of the parameter `tag` or `author`. Names are parameters: a tag
    may contain slashes and be "..". The feed of an unknown tag is empty, as its page is."""
    names = {name: request.GET[name] for name in ("tag", "author") if name in request.GET}
    if kind not in KINDS or len(names) > 1 or not all(map(_may_exist, names.values())):
        raise Http404("There is no such feed.")
    match names:
        case {"tag": tag}:
            page, title, about = tag_path(tag), f"Conduit: {tag}", f"with the tag {tag}"
        case {"author": author}:
            names["author"] = author = nfc(author)
            page, title, about = profile_path(author), f"Conduit: {author}", f"by {author}"
        case _:
            page, title, about = reverse("website:home"), "Conduit", "of all authors"
    rows = list_articles(tag=names.get("tag"), author=names.get("author"))
    if not rows and "author" in names and not profile_named(username=names["author"]):
        raise Http404("There is no such person.")
    feed = KINDS[kind](
        title=_for_xml(title),
        link=absolute(request, page),
        description=_for_xml(f"The newest articles {about}."),
        feed_url=absolute(request, feed_path(kind, **names)),
    )
    for row in rows:
        _add(feed, row, absolute(request, article_path(row.slug)))
    response = HttpResponse(content_type=feed.content_type)
    feed.write(response, "utf-8")
    return cached_by_proxies(request, response, CACHE_CONTROL)


def _may_exist(name: str) -> bool:
    return len(name) <= max(TAG_LENGTH, USERNAME_LENGTH) and "\0" not in name


def _add(feed: SyndicationFeed, row: ArticleInListRow, link: str) -> None:
    site = urlsplit(link).hostname
    feed.add_item(
        title=_for_xml(row.title),
        link=link,
        # Both formats define it as HTML. Only the description: a text may have 200,000 characters,
        # and the feed has twenty.
        description=_for_xml(escape(row.description)),
        author_name=_for_xml(row.author__username),
        pubdate=row.created_at,
        updateddate=row.updated_at,
        categories=[_for_xml(name) for name in row.tag_names],
        # A tag URI (RFC 4151). A new title changes the link, but must not show the article to
        # subscribers again.
        unique_id=f"tag:{site},{row.created_at:%Y-%m-%d}:article/{row.pk}",
        unique_id_is_permalink=False,
    )


def _for_xml(text: str) -> str:
    return NOT_IN_XML.sub("", text)
