"""What search engines and previews read of a page."""

from collections.abc import Callable

import pytest
from pytest_django import Settings

from articles.models import Article
from tests.builders import write_article
from tests.website.reader import Page, Reader
from users.models import User


def canonical(page: Page) -> str | None:
    return page.one("link[rel=canonical]").attributes["href"]


def meta(page: Page, name: str) -> str | None:
    return page.one(f"meta[property='{name}'], meta[name='{name}']").attributes["content"]


def test_a_page_has_one_address(stranger: Reader, alice: User) -> None:
    for _ in range(11):
        write_article(alice, tags=("100% <b>",))

    assert canonical(stranger.open("/?page=1&utm_source=x")) == "http://testserver/"
    assert canonical(stranger.open("/?page=2")) == "http://testserver/?page=2"
    tag = stranger.open("/tag/100%25 <b>?page=2&x")
    assert canonical(tag) == "http://testserver/tag/100%25%20%3Cb%3E?page=2"
    assert meta(tag, "og:url") == canonical(tag)
    assert meta(tag, "og:title") == "100% <b>"
    assert meta(tag, "description") == "The newest articles with the tag 100% <b>."
    assert tag.all("meta[name=robots]") == []


def test_addresses_have_the_host_of_the_settings(
    stranger: Reader, settings: Settings, article: Article
) -> None:
    # A client chooses the host and port of a request, and a proxy may keep the answer for others.
    host = "testserver:666"
    assert canonical(stranger.open("/", host=host)) == "http://testserver:666/"
    settings.SITE_URL = "https://conduit.example.com"

    assert canonical(stranger.open("/?page=1", host=host)) == "https://conduit.example.com/"
    for path in (
        "/feeds/rss",
        "/feeds/atom",
        "/sitemap.xml",
        "/sitemap-articles-0.xml",
        "/robots.txt",
    ):
        text = stranger.get(path, headers={"host": host}).content.decode()
        assert "https://conduit.example.com/" in text
        assert "666" not in text
        assert "testserver" not in text


def test_the_address_of_a_tag_that_is_no_part_of_a_path(stranger: Reader, alice: User) -> None:
    for _ in range(11):
        write_article(alice, tags=("..",))

    page = stranger.open("/tag/?name=..&page=2&x=y")
    assert canonical(page) == "http://testserver/tag/?name=..&page=2"


def test_an_article_has_a_preview(stranger: Reader, alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(image="https://a.example/alice.png?a=b&c")
    article = write_article(alice, title="<A> & title", description="One\n\ntwo " + "x" * 500)
    page = stranger.open(f"/article/{article.slug}?utm_source=x")

    assert canonical(page) == f"http://testserver/article/{article.slug}"
    assert meta(page, "og:type") == "article"
    assert meta(page, "og:title") == "<A> & title"
    assert meta(page, "og:image") == "https://a.example/alice.png?a=b&c"
    assert meta(page, "article:published_time") == article.created_at.isoformat()
    description = str(meta(page, "og:description"))
    assert description.startswith("One two xxx")
    assert (len(description), description[-1]) == (200, "…")
    assert meta(page, "description") == description
    feeds = [link.attributes["href"] for link in page.all("link[rel=alternate]")]
    assert feeds == ["/feeds/rss?author=alice", "/feeds/atom?author=alice"]


def test_a_person_has_a_preview(stranger: Reader, alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(bio="Writes <here>", image="https://a.example/a.png")

    for path in ("/profile/alice", "/profile/alice/favorites"):
        page = stranger.open(f"{path}?page=1")
        assert canonical(page) == f"http://testserver{path}"
        assert meta(page, "og:title") == "alice"
        assert meta(page, "og:description") == "Writes <here>"
        assert meta(page, "og:image") == "https://a.example/a.png"
        assert page.all("link[rel=alternate]")[0].attributes["href"] == "/feeds/rss?author=alice"


@pytest.mark.parametrize("image", [None, "javascript:alert(1)", "data:image/png;base64,AA"])
def test_a_preview_has_only_pictures_from_the_web(
    stranger: Reader, alice: User, image: str | None
) -> None:
    User.objects.filter(pk=alice.pk).update(image=image)
    page = stranger.open(f"/article/{write_article(alice).slug}")

    assert page.all("meta[property='og:image']") == []


def test_search_engines_do_not_keep_private_pages(
    stranger: Reader, reader_for: Callable[[User], Reader], alice: User
) -> None:
    reader = reader_for(alice)
    pages = [stranger.open(path) for path in ("/login", "/register", "/search?q=x")]
    pages += [reader.open(path) for path in ("/editor", "/settings", "/?feed=following")]
    for page in pages:
        assert meta(page, "robots") == "noindex", page.path
        assert page.all("link[rel=canonical], meta[property='og:title']") == [], page.path
