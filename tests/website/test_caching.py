"""What proxies and browsers may keep of a page."""

from collections.abc import Callable

import pytest
from django.conf import settings
from django.contrib.messages.storage.cookie import CookieStorage

from articles.models import Article
from tests.builders import like, write_article
from tests.website.reader import Reader
from users.models import User
from website.paths import profile_path, tag_path
from website.templatetags.previews import _preview

FOR_STRANGERS = "public, max-age=0, s-maxage=5"
FOR_ONE_PERSON = "private, no-cache"
PAGES = [
    "/",
    "/tag/dragons",
    "/profile/alice",
    "/article/how-to-train-your-dragon",
    "/search?q=dragon",
]


@pytest.mark.parametrize("path", PAGES)
def test_proxies_may_keep_the_pages_of_strangers_for_seconds(
    stranger: Reader, article: Article, path: str
) -> None:
    headers = stranger.get(path).headers

    assert headers["Cache-Control"] == FOR_STRANGERS
    assert headers["Vary"] == "Cookie"
    assert headers["ETag"]
    assert not stranger.cookies
    assert "csrf" not in stranger.get(path).content.decode()
    assert "nonce" not in headers["Content-Security-Policy"]


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("method", ["get", "head"])
def test_an_unchanged_page_is_not_sent_again(
    stranger: Reader, article: Article, bob: User, path: str, method: str
) -> None:
    etag = stranger.get(path).headers["ETag"]

    def again() -> tuple[int, bytes]:
        answer = getattr(stranger, method)(path, headers={"If-None-Match": f'"other", {etag}'})
        if answer.status_code == 304:
            assert answer.headers["Cache-Control"] == FOR_STRANGERS
            assert answer.headers["Vary"] == "Cookie"
            assert answer.headers["ETag"] == etag
        return answer.status_code, answer.content[:1]

    assert again() == (304, b"")
    like(bob, article)
    assert again() == (200, b"" if method == "head" else b"<")


@pytest.mark.parametrize("path", [*PAGES, "/?feed=following"])
def test_only_the_browser_keeps_the_pages_of_people(
    reader_for: Callable[[User], Reader], bob: User, article: Article, path: str
) -> None:
    headers = reader_for(bob).get(path).headers

    assert headers["Cache-Control"] == FOR_ONE_PERSON
    assert headers["Vary"] == "Cookie"
    assert "ETag" not in headers


def test_a_page_that_deletes_a_cookie_is_not_kept(stranger: Reader, article: Article) -> None:
    stranger.cookies[settings.SESSION_COOKIE_NAME] = "expired"

    answer = stranger.get("/")

    assert answer.headers["Cache-Control"] == FOR_ONE_PERSON
    assert settings.SESSION_COOKIE_NAME in answer.cookies


def test_a_page_with_a_message_is_not_kept(stranger: Reader, article: Article) -> None:
    stranger.cookies[CookieStorage.cookie_name] = "a message"

    assert stranger.get("/").headers["Cache-Control"] == FOR_ONE_PERSON


def test_an_error_page_is_not_kept(stranger: Reader, db: None) -> None:
    # A proxy may keep a 404 or 405 without the header (RFC 9110, section 15.1).
    for path in ("/?page=9", "/article/nothing", "/profile/nobody", "/nothing", "/logout"):
        answer = stranger.get(path)
        assert answer.status_code == (405 if path == "/logout" else 404)
        assert answer.headers["Cache-Control"] == FOR_ONE_PERSON
        assert "ETag" not in answer.headers


@pytest.mark.parametrize("path", ["/login", "/register"])
def test_a_form_for_strangers_is_never_kept(stranger: Reader, db: None, path: str) -> None:
    answer = stranger.get(path)

    assert "no-store" in answer.headers["Cache-Control"]
    assert "ETag" not in answer.headers


def test_the_api_gets_none_of_these_headers(stranger: Reader, article: Article) -> None:
    headers = stranger.get("/api/articles").headers

    assert not {"ETag", "Cache-Control"} & headers.keys()


def test_strangers_cannot_fill_the_memory_with_long_addresses(
    stranger: Reader, article: Article, alice: User
) -> None:
    long = "é" * 3_000
    caches = [profile_path, tag_path, _preview]

    def kept() -> list[int]:
        return [cache.cache_info().currsize for cache in caches]

    stranger.open("/")
    before = kept()
    for number in range(2):
        assert stranger.get(f"/tag/{number}{long}").status_code == 404
        assert stranger.get("/tag/", {"name": f"{number}{long}"}).status_code == 404
        assert stranger.get("/feeds/rss", {"tag": f"{number}{long}"}).status_code == 404
        assert stranger.get("/feeds/rss", {"author": f"{number}{long}"}).status_code == 404
        page = stranger.open(f"/?{number}={long}")
        assert page.one(".article-preview .btn").attributes["href"] == "/login?next=/"
        assert len(page.html) < 30_000
    assert kept() == before


def test_previews_with_long_texts_are_not_kept(stranger: Reader, alice: User) -> None:
    write_article(alice, description="é" * 1_000, tags=("tag",))
    _preview.cache_clear()

    assert len(stranger.open("/").all(".article-preview")) == 1

    assert _preview.cache_info().currsize == 0
