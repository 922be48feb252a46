import re
from datetime import timedelta
from typing import Any
from xml.etree import ElementTree

import pytest
from django.utils import timezone
from django.utils.html import escape
from pytest_django import DjangoAssertNumQueries

from articles.models import Article
from tests.builders import make_user, write_article
from tests.website.reader import Reader
from users.models import User
from website.paths import tag_path

ATOM = "{http://www.w3.org/2005/Atom}"
RSS_AUTHOR = "{http://purl.org/dc/elements/1.1/}creator"
KINDS = pytest.mark.parametrize("kind", ["rss", "atom"])


def entries(response: Any) -> list[ElementTree.Element]:
    assert response.status_code == 200, response.content
    tree = ElementTree.fromstring(response.content)  # noqa: S314 -- our own document
    return tree.findall("channel/item") or tree.findall(f"{ATOM}entry")


def texts(response: Any, name: str) -> list[str | None]:
    found = [entry.find(name) for entry in entries(response)]
    return [None if node is None else node.text for node in found]


def test_the_feeds_of_the_site_have_the_newest_articles(stranger: Reader, alice: User) -> None:
    for number in range(21):
        article = write_article(
            alice, title=f"Title <{number}>", description="a < b & c", tags=("one & two",)
        )

    rss, atom = stranger.get("/feeds/rss"), stranger.get("/feeds/atom")

    assert texts(rss, "title") == [f"Title <{20 - n}>" for n in range(20)]
    assert texts(atom, f"{ATOM}title") == texts(rss, "title")
    assert texts(rss, "link")[0] == f"http://testserver/article/{article.slug}"
    assert texts(rss, RSS_AUTHOR)[0] == "alice"
    assert texts(rss, "category")[0] == "one & two"
    # It is HTML.
    assert texts(rss, "description")[0] == texts(atom, f"{ATOM}summary")[0] == "a &lt; b &amp; c"
    assert rss["Content-Type"] == "application/rss+xml; charset=utf-8"
    assert atom["Content-Type"] == "application/atom+xml; charset=utf-8"


@KINDS
def test_the_feeds_of_a_tag_and_of_an_author_have_only_their_articles(
    stranger: Reader, alice: User, bob: User, kind: str
) -> None:
    for tag in ("a/b", "..", "100%", "?#&<>", "日本"):
        article = write_article(alice, tags=(tag,))
        page = stranger.open(tag_path(tag))
        address = str(page.one(f"link[type='application/{kind}+xml']").attributes["href"])

        answer = stranger.get(f"{address}&utm_source=x")
        (entry,) = entries(answer)

        assert article.title in "".join(entry.itertext())
        assert f'href="http://testserver{escape(address)}"' in answer.content.decode()
    write_article(bob)
    assert len(entries(stranger.get(f"/feeds/{kind}?author=alice"))) == 5


def test_the_name_of_an_author_is_found_in_every_normalization(stranger: Reader) -> None:
    write_article(make_user("zoë"))

    assert len(entries(stranger.get("/feeds/rss?author=zoe\u0308"))) == 1


@KINDS
def test_unknown_names(stranger: Reader, alice: User, kind: str) -> None:
    assert entries(stranger.get(f"/feeds/{kind}?author=alice")) == []
    assert entries(stranger.get(f"/feeds/{kind}?tag=unknown")) == []
    for path in ("?author=nobody", "?author=a%00", "?tag=%00", "?author=alice&tag=x"):
        stranger.open(f"/feeds/{kind}{path}", status=404)
    stranger.open("/feeds/json", status=404)


def test_hidden_articles_are_in_no_feed(stranger: Reader, alice: User, bob: User) -> None:
    write_article(alice, hidden_at=timezone.now(), tags=("one",))
    write_article(bob, tags=("one",))
    User.objects.filter(pk=bob.pk).update(hidden_at=timezone.now())

    for path in ("/feeds/rss", "/feeds/rss?tag=one", "/feeds/rss?author=alice"):
        assert entries(stranger.get(path)) == []
    stranger.open("/feeds/rss?author=bob", status=404)


@KINDS
def test_a_feed_is_xml_whatever_a_text_contains(stranger: Reader, alice: User, kind: str) -> None:
    invalid = "".join(map(chr, [*range(1, 9), 0xB, 0xC, *range(0xE, 0x20), 0xFFFE, 0xFFFF]))
    # The title and the tags are validated. The database accepts these texts.
    Article.objects.filter(pk=write_article(alice, tags=(f"t{invalid}ag",)).pk).update(
        title=f"Ti{invalid}tle", description=f"{invalid}]]><x/>\x80\U0001f600"
    )

    content = b"".join(map(ElementTree.tostring, entries(stranger.get(f"/feeds/{kind}")))).decode()

    assert ">Title<" in content
    assert "tag" in content
    assert "]]&amp;gt;&amp;lt;x/&amp;gt;" in content


@KINDS
def test_a_new_title_changes_the_link_but_not_the_identity(
    stranger: Reader, alice: User, kind: str
) -> None:
    guid = f"{ATOM}id" if kind == "atom" else "guid"
    article = write_article(alice)
    before = stranger.get(f"/feeds/{kind}")
    (identity,) = texts(before, guid)

    article.title = "A new title"
    article.save()
    after = stranger.get(f"/feeds/{kind}")

    assert texts(after, guid) == [identity]
    assert re.fullmatch(rf"tag:testserver,20\d\d-\d\d-\d\d:article/{article.pk}", str(identity))
    assert "/article/a-new-title" in after.content.decode()
    assert before["ETag"] != after["ETag"]
    if kind == "atom":
        assert texts(after, f"{ATOM}updated") == [article.updated_at.isoformat()]


@KINDS
def test_an_unchanged_feed_is_not_sent_again(stranger: Reader, alice: User, kind: str) -> None:
    for path in (f"/feeds/{kind}", f"/feeds/{kind}?author=alice"):
        first = stranger.get(path)
        second = stranger.get(path, headers={"If-None-Match": first["ETag"]})

        assert (second.status_code, second.content) == (304, b"")
        assert second["ETag"] == first["ETag"]
        assert first["Cache-Control"] == second["Cache-Control"] == "public, max-age=300"
        assert "Vary" not in first
        assert "Set-Cookie" not in first
        write_article(alice)


@pytest.mark.parametrize("rows", [1, 20])
def test_a_feed_costs_one_query(
    stranger: Reader, alice: User, django_assert_num_queries: DjangoAssertNumQueries, rows: int
) -> None:
    for number in range(rows):
        author = make_user(f"author{number}")
        write_article(author, tags=("one", "two"), created_at=timezone.now() - timedelta(1))

    for path in ("/feeds/rss", "/feeds/atom?tag=one", "/feeds/rss?author=author0"):
        with django_assert_num_queries(1):
            stranger.get(path)
    with django_assert_num_queries(2):
        stranger.get("/feeds/rss?author=alice")
