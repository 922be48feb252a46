"""RSS and Atom feeds: the newest articles of the site, of a tag, of an author.

They are made of the prepared query of the lists. Django's class-based feeds would call a dozen
methods for each article.
"""

import re
from datetime import UTC, datetime

from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.encoding import escape_uri_path
from django.utils.feedgenerator import Atom1Feed, Rss201rev2Feed, SyndicationFeed
from django.utils.html import escape
from django.views.decorators.http import require_safe

from articles.queries import ArticleInListRow, list_articles
from profiles.queries import profile_named
from website.caching import cached_by_proxies

# Seconds. Programs ask for feeds again and again, and an article may be a few minutes late.
MAX_AGE = 300

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
def site(request: HttpRequest, kind: str) -> HttpResponseBase:
    page = reverse("website:home")
    return _feed(request, kind, page, "Conduit", "The newest articles.", list_articles())


@require_safe
def tag(request: HttpRequest, kind: str, tag: str) -> HttpResponseBase:
    """Empty for an unknown tag, as its page is."""
    page = reverse("website:tag", args=[tag])
    about = f"The newest articles with the tag {tag}."
    return _feed(request, kind, page, f"Conduit: {tag}", about, list_articles(tag=tag))


@require_safe
def author(request: HttpRequest, kind: str, username: str) -> HttpResponseBase:
    rows = list_articles(author=username)
    if not rows and not profile_named(username=username):
        raise Http404("There is nobody with this name.")
    about = f"The newest articles by {username}."
    return _feed(request, kind, f"/profile/{username}", f"Conduit: {username}", about, rows)


def _feed(
    request: HttpRequest,
    kind: str,
    page: str,
    title: str,
    about: str,
    rows: list[ArticleInListRow],
) -> HttpResponseBase:
    if kind not in KINDS:
        raise Http404("There is no such kind of feed.")
    absolute = request.build_absolute_uri
    feed = KINDS[kind](
        title=_for_xml(title),
        link=absolute(page),
        description=_for_xml(about),
        feed_url=absolute(escape_uri_path(request.path)),
    )
    host = request.get_host().partition(":")[0]
    for row in rows:
        feed.add_item(
            title=_for_xml(row.title),
            link=absolute(f"/article/{row.slug}"),
            # Both formats define it as HTML. Only the description: a text may have 200,000
            # characters, and the feed has twenty.
            description=_for_xml(escape(row.description)),
            author_name=_for_xml(row.author__username),
            pubdate=row.created_at,
            updateddate=row.updated_at,
            categories=[_for_xml(name) for name in row.tag_names],
            # A tag URI (RFC 4151). A new title changes the link, but must not show the article to
            # subscribers again.
            unique_id=f"tag:{host},{row.created_at:%Y-%m-%d}:article/{row.pk}",
            unique_id_is_permalink=False,
        )
    response = HttpResponse(content_type=feed.content_type)
    feed.write(response, "utf-8")
    return cached_by_proxies(request, response, MAX_AGE)


def _for_xml(text: str) -> str:
    return NOT_IN_XML.sub("", text)
