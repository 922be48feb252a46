"""What search engines and previews read of a page."""

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
