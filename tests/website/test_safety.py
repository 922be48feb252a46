"""Texts of attackers in every field, in every place that shows it: none becomes an element, an
attribute or an address that runs a script."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode
from xml.etree import ElementTree

import pytest
from selectolax.lexbor import LexborHTMLParser

from articles.models import Article
from tests.builders import PASSWORD, follow, like, make_user, write_article, write_comment
from tests.website.payloads import BAD_IMAGES, GOOD_IMAGES, PAYLOADS, TITLES, assert_harmless, shape
from tests.website.reader import Page, Reader
from users.models import User
from website.paths import feed_path, profile_path, tag_path
from website.templatetags.site import DEFAULT_AVATAR, avatar

HARMLESS = "Words"


def write(author: User, text: str) -> Article:
    """An article with the text in each field, and in a comment."""
    tags = (text[:64], f"{text[64:127]}!", "one")
    article = write_article(author, title=text, description=text, body=text, tags=tags)
    write_comment(author, article, body=text)
    like(author, article)
    return article


@pytest.fixture
def mallory(db: None) -> User:
    """Her name has all characters that a name may have."""
    user = make_user("mallory._+-", bio="\n".join(PAYLOADS), image=BAD_IMAGES[0])
    # The database has names that are older than the rule.
    User.objects.filter(pk=user.pk).update(username="<b>'\"&", username_folded="<b>'\"&")
    user.refresh_from_db()
    return user


@pytest.fixture
def trent(db: None) -> User:
    """He writes the same articles without payloads."""
    return make_user("trent", bio=HARMLESS)


def test_no_text_changes_the_elements_of_a_page(
    reader_for: Callable[[User], Reader], mallory: User, trent: User
) -> None:
    harmless = write(trent, HARMLESS).slug
    strangers, authors = (Reader(), Reader()), (reader_for(mallory), reader_for(trent))
    shapes: dict[tuple[str, int], Any] = {}

    def same(path: str, harmless_path: str, readers: tuple[Reader, Reader] = strangers) -> Page:
        key = (harmless_path, id(readers))
        if key not in shapes:
            shapes[key] = shape(readers[1].open(harmless_path).html)
        page = readers[0].open(path)
        assert_harmless(page.html, path)
        assert shape(page.html) == shapes[key], path
        return page

    # First all of them: each page shows the popular tags.
    slugs = [write(mallory, text).slug for text in TITLES]
    for text, slug in zip(TITLES, slugs, strict=True):
        page = same(f"/article/{slug}", f"/article/{harmless}")
        assert page.one("h1").text() == text
        assert page.one("meta[property='og:title']").attributes["content"] == text
        same(f"/article/{slug}", f"/article/{harmless}", authors)
        page = same(f"/editor/{slug}", f"/editor/{harmless}", authors)
        assert page.one("textarea[name=body]").text() == text
        same(tag_path(text[:64]), f"/tag/{HARMLESS}")
    same("/settings", "/settings", authors)


def test_people_with_payloads_are_harmless(
    reader_for: Callable[[User], Reader], mallory: User, trent: User
) -> None:
    """Their names, bios and pictures."""
    for text in TITLES:
        write(mallory, text)
        write(trent, HARMLESS)
    for readers in ((Reader(), Reader()), (reader_for(mallory), reader_for(trent))):
        for path in ("", "/favorites"):
            page = readers[0].open(f"{profile_path(mallory.username)}{path}")
            other = readers[1].open(f"/profile/trent{path}")

            assert_harmless(page.html, page.path)
            assert shape(page.html) == shape(other.html), page.path
    assert page.one(".user-info p").text() == mallory.bio
    assert page.one(".user-info img").attributes["src"] == DEFAULT_AVATAR


def test_lists_with_payloads_are_harmless(
    reader_for: Callable[[User], Reader], mallory: User, bob: User
) -> None:
    follow(bob, mallory)
    for payload in PAYLOADS[:11]:
        write(mallory, payload)
    for reader in (Reader(), reader_for(bob)):
        for path in ("/", "/?page=2", "/tag/one", "/search?q=alert"):
            page = reader.open(path)
            assert_harmless(page.html, path)
            assert page.all(".article-preview"), path
    assert len(reader.open("/?feed=following").all(".article-preview")) == 10


def test_the_text_of_a_search_is_shown_as_text(stranger: Reader) -> None:
    expected = shape(stranger.open(f"/search?q={HARMLESS}").html)
    for text in TITLES:
        page = stranger.open(f"/search?{urlencode({'q': text})}")

        assert_harmless(page.html, text)
        assert shape(page.html) == expected, text
        assert page.one("nav input[name=q]").attributes["value"] == text


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/login", {"email": "TEXT", "password": "wrong"}),
        ("/register", {"username": "TEXT", "email": "TEXT", "password": PASSWORD}),
        ("/settings", {"image": "TEXT", "username": "TEXT", "bio": "TEXT", "email": "TEXT"}),
        ("/editor", {"title": "TEXT", "description": "TEXT", "body": " "}),
    ],
)
def test_errors_of_forms_show_texts_as_texts(
    reader_for: Callable[[User], Reader], alice: User, path: str, fields: dict[str, str]
) -> None:
    reader = reader_for(alice) if path in ("/settings", "/editor") else Reader()
    form = reader.open(path)
    shapes = []
    # U+2028 is an error of its own, so that there would be one error more.
    for text in (f"{HARMLESS} " * 300, " ".join(PAYLOADS).replace("\u2028", "")):
        texts = {name: value.replace("TEXT", text) for name, value in fields.items()}
        # The first button of the main form.
        button = "main form:not([action='/logout']) button[type=submit]"
        page = reader.submit(form, button, status=422, **texts)

        assert_harmless(page.html, path)
        assert page.all(".error-messages li"), path
        shapes.append(shape(page.html))

    assert shapes[0] == shapes[1]


def test_errors_of_paths_show_texts_as_texts(stranger: Reader) -> None:
    for text in TITLES:
        for path in ("article", "profile", "no-such-page", "feeds"):
            page = stranger.open(f"/{path}/{quote(text, safe='')}", status=404)

            assert_harmless(page.html, path, style_with_nonce=True)
            assert page.all("h1")


def test_parts_for_htmx_are_harmless(
    reader_for: Callable[[User], Reader], mallory: User, alice: User
) -> None:
    reader = reader_for(alice)
    reader.handler.enforce_csrf_checks = False
    article = write(mallory, TITLES[0])
    texts = "\n\n".join(PAYLOADS)
    for path, data in [
        (f"/article/{article.slug}/favorite", {"next": texts, "words": texts}),
        (f"/article/{article.slug}/unfavorite", {"next": texts, "words": texts}),
        (f"/article/{article.slug}/comments", {"body": texts}),
        (f"/article/{article.slug}/comments", {"body": ""}),
        (f"{profile_path(mallory.username)}/follow", {"next": texts}),
        (f"{profile_path(mallory.username)}/unfollow", {"next": texts}),
    ]:
        response = reader.post(path, data, headers={"HX-Request": "true"})
        assert response.status_code in (200, 422), path
        assert_harmless(response.content.decode(), path)


@pytest.mark.parametrize("kind", ["rss", "atom"])
def test_texts_are_texts_in_feeds(stranger: Reader, mallory: User, kind: str) -> None:
    written = [write(mallory, text) for text in TITLES]
    for path in (f"/feeds/{kind}", feed_path(kind, author=mallory.username)):
        tree = ElementTree.fromstring(stranger.get(path).content)  # noqa: S314 -- our own document
        names = {node.tag.rpartition("}")[2] for node in tree.iter()}
        rows: dict[str, Any] = {
            name: [node.text for node in tree.iter() if node.tag.rpartition("}")[2] == name]
            for name in ("title", "description", "summary")
        }

        assert not names & {"script", "b", "img", "svg", "style", "form"}
        assert [row.title for row in reversed(written)] == rows["title"][-len(TITLES) :]
        for html in (rows["summary"] or rows["description"])[-len(TITLES) :]:
            # Programs parse it as HTML.
            assert [node.tag for node in LexborHTMLParser(f"<p>{html}").css("body *")] == ["p"]


def test_an_address_that_is_no_picture_is_not_used() -> None:
    for image in BAD_IMAGES:
        assert avatar(image) == DEFAULT_AVATAR, image


def test_pictures_stand_in_the_page_as_they_were_given(stranger: Reader) -> None:
    for number, image in enumerate(GOOD_IMAGES):
        user = make_user(f"user{number}", image=image)
        page = stranger.open(f"/article/{write(user, HARMLESS).slug}")

        assert_harmless(page.html, image)
        assert page.all(".article-meta img")[0].attributes["src"] == image
        expected = [image] if image.lower().startswith("http") else []
        shown = [node.attributes["content"] for node in page.all("meta[property='og:image']")]
        assert shown == expected
