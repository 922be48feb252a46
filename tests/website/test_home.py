"""The home page, the reader's own feed and the feeds of tags."""

from collections.abc import Callable

import pytest
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from articles.models import Article
from tests.builders import follow, like, make_user, write_article
from tests.website.reader import Page, Reader
from users.models import User
from website.paths import article_path, profile_path, tag_path

TAGS = ["a/b", "a b", "what?", "#1", "100%", "%2F", ".", "..", "a/../b", "a//b", "/", "ä&b=c", "+"]


def titles(page: Page) -> list[str]:
    return page.texts(".article-preview h1")


def hrefs(page: Page, css: str) -> list[str]:
    return [node.attributes["href"] or "" for node in page.all(css)]


def test_a_stranger_sees_the_newest_articles(stranger: Reader, alice: User) -> None:
    for number in range(11):
        write_article(alice, title=f"Title {number}")

    page = stranger.open("/")

    assert titles(page) == [f"Title {10 - n}" for n in range(10)]
    assert page.texts(".page-link") == ["1", "2"]
    assert page.texts(".page-item.active") == ["1"]
    assert titles(stranger.open("/?page=2")) == ["Title 0"]


def test_a_preview_shows_what_an_article_is_about(stranger: Reader, alice: User, bob: User) -> None:
    article = write_article(
        alice,
        title="A <title>",
        description="A <description>",
        tags=("b", "a"),
        created_at="2001-02-03T23:59:00Z",
    )
    like(bob, article)

    page = stranger.open("/")

    preview = page.one(".article-preview")
    assert [node.text() for node in preview.css("h1, p")] == ["A <title>", "A <description>"]
    assert page.one(".article-preview .author").attributes["href"] == "/profile/alice"
    assert page.one(".article-meta img").attributes["src"] == "/default-avatar.svg"
    assert page.texts(".article-meta .date") == ["February 3, 2001"]
    date = page.one("time.date").attributes["datetime"]
    assert date == "2001-02-03T23:59:00.000Z"
    assert page.one("a.preview-link").attributes["href"] == f"/article/{article.slug}"
    assert page.texts(".article-preview .tag-list .tag-default.tag-pill") == ["a", "b"]
    assert page.texts(".article-preview .btn") == ["1"]


def test_a_site_without_articles_says_so(stranger: Reader) -> None:
    assert stranger.open("/").texts(".empty-feed-message") == ["No articles are here... yet."]


def test_the_current_tab_is_active(
    stranger: Reader, reader_for: Callable[[User], Reader], bob: User, article: Article
) -> None:
    reader = reader_for(bob)

    assert stranger.open("/").texts(".feed-toggle a") == ["Global Feed"]
    assert stranger.open("/tag/dragons").texts(".feed-toggle a.active") == ["#dragons"]
    assert reader.open("/").texts(".feed-toggle a.nav-link") == ["Your Feed", "Global Feed"]
    assert reader.open("/").texts(".feed-toggle a.active") == ["Global Feed"]
    assert reader.open("/?feed=following").texts(".feed-toggle a.active") == ["Your Feed"]
    assert len(stranger.open("/").all(".banner")) == 1
    assert reader.open("/").all(".banner") == []


def test_a_feed_has_the_articles_of_followed_people(
    reader_for: Callable[[User], Reader], alice: User, bob: User, charlie: User
) -> None:
    for number in range(11):
        write_article(alice, title=f"Title {number}")
    write_article(charlie)

    page = reader_for(bob).open("/?feed=following")

    assert titles(page) == [f"Title {10 - n}" for n in range(10)]
    assert hrefs(page, ".page-link") == ["?feed=following&page=1", "?feed=following&page=2"]
    assert titles(reader_for(bob).open("/?feed=following&page=2")) == ["Title 0"]


def test_an_empty_feed_says_so(reader_for: Callable[[User], Reader], charlie: User) -> None:
    message = reader_for(charlie).open("/?feed=following").one(".empty-feed-message")

    assert message.text().startswith("Your feed is empty")
    assert [link.attributes["href"] for link in message.css("a")] == ["/"]


def test_a_stranger_has_no_feed(stranger: Reader, db: None) -> None:
    answer = stranger.get("/?feed=following")

    assert (answer.status_code, answer.headers["Location"]) == (302, "/login")


@pytest.mark.parametrize("name", TAGS)
def test_each_tag_has_a_feed(stranger: Reader, alice: User, name: str) -> None:
    write_article(alice, title="With", tags=(name,))
    write_article(alice, title="Without")
    page = stranger.open("/")
    (path,) = {*hrefs(page, ".tag-pill")}

    # A browser removes the segments "." and ".." of a path, and some proxies the empty ones.
    assert {".", "..", ""}.isdisjoint(path.partition("?")[0].removeprefix("/").split("/")[:-1])
    assert path.partition("?")[0].rpartition("/")[2] not in (".", "..")
    feed = stranger.open(path)
    assert titles(feed) == ["With"]
    assert feed.texts(".feed-toggle a.active") == [f"#{name}"]
    assert hrefs(feed, ".feed-toggle a.active") == [path]


def test_the_pages_of_a_tag_in_a_parameter_keep_it(stranger: Reader, alice: User) -> None:
    for _ in range(11):
        write_article(alice, tags=("..",))

    page = stranger.open("/tag/?name=..")

    assert hrefs(page, ".page-link") == ["?name=..&page=1", "?name=..&page=2"]


@pytest.mark.parametrize("path", ["/tag/", "/tag/?name=", "/tag/?name=a%00", "/tag/a%00"])
def test_a_text_that_is_no_tag_has_no_page(stranger: Reader, db: None, path: str) -> None:
    stranger.open(path, status=404)


def test_a_tag_that_nobody_used_has_an_empty_page(stranger: Reader, db: None) -> None:
    assert stranger.open("/tag/nothing").texts(".empty-feed-message")


@pytest.mark.parametrize(
    "page", ["0", "-1", "2", "1.0", "x", "1e3", "\u0661", "%00", "9" * 30, "100001", " 1"]
)
@pytest.mark.parametrize("path", ["/?", "/tag/dragons?", "/profile/alice?", "/search?q=dragon&"])
def test_a_page_that_does_not_exist_is_not_found(
    stranger: Reader, article: Article, path: str, page: str
) -> None:
    stranger.open(f"{path}page={page}", status=404)


def test_the_popular_tags_are_beside_the_list(stranger: Reader, alice: User) -> None:
    write_article(alice, tags=("one", "two"))
    write_article(alice, tags=("two",))

    page = stranger.open("/")

    assert page.texts(".sidebar .tag-list .tag-pill") == ["two", "one"]


def test_htmx_replaces_the_list_alone(stranger: Reader, alice: User) -> None:
    for _ in range(11):
        write_article(alice)

    page = stranger.open("/")

    for nav in page.all("#list nav"):
        assert nav.attributes["hx-boost"] == "true"
        assert (nav.attributes["hx-target"], nav.attributes["hx-select"]) == ("#list", "#list")
    assert len(page.all("#list nav")) == 2
    # The answer has the whole page, so that proxies and the browser's history can keep it.
    htmx = stranger.get("/?page=2", headers={"HX-Request": "true", "HX-Boosted": "true"})
    assert htmx.content == stranger.get("/?page=2").content


@pytest.mark.parametrize("rows", [1, 20])
def test_it_runs_four_queries(
    reader_for: Callable[[User], Reader],
    stranger: Reader,
    alice: User,
    bob: User,
    django_assert_num_queries: DjangoAssertNumQueries,
    rows: int,
) -> None:
    for _ in range(rows):
        author = make_user(f"author{Article.objects.count()}")
        follow(bob, author)
        like(bob, write_article(author, tags=("one", "two")))
    reader = reader_for(bob)

    for path in ("/", "/tag/one", "/search?q=article"):
        with django_assert_num_queries(2):  # the articles, the popular tags
            stranger.open(path)
        with django_assert_num_queries(4):  # the session, the reader, the articles, the tags
            reader.open(path)
    with django_assert_num_queries(4):
        reader.open("/?feed=following")
    assert not stranger.has_session


@pytest.mark.parametrize("name", ["a b", "ä", "~:@!$&'()*+,;=", '%?#[]"<>'])
def test_the_quick_paths_are_those_of_the_routes(name: str) -> None:
    assert tag_path(f"{name}/1") == reverse("website:tag", args=[f"{name}/1"])
    assert article_path(name) == reverse("website:article", args=[name])
    assert profile_path(name) == reverse("website:profile", args=[name])
