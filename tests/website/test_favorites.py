"""The favorite button: in lists, with and without htmx."""

from collections.abc import Callable

import pytest

from articles.models import Article, Favorite
from tests.builders import like, write_article
from tests.website.reader import Page, Reader
from users.models import User

BUTTON = "button[id^=favorite-]"


def token_of(page: Page) -> str:
    return page.all("input[name=csrfmiddlewaretoken]")[0].attributes["value"] or ""


def test_a_click_changes_the_count_and_leads_back(
    reader_for: Callable[[User], Reader], bob: User, article: Article
) -> None:
    reader = reader_for(bob)
    page = reader.open("/tag/dragons?page=1")

    liked = reader.submit(page, BUTTON)

    assert liked.path == "/tag/dragons?page=1"
    assert "btn-primary" in (liked.one(BUTTON).attributes["class"] or "")
    assert liked.texts(BUTTON) == ["1"]
    assert Favorite.objects.filter(user=bob, article=article).exists()

    unliked = reader.submit(liked, BUTTON)

    assert "btn-outline-primary" in (unliked.one(BUTTON).attributes["class"] or "")
    assert unliked.texts(BUTTON) == ["0"]
    assert not Favorite.objects.exists()


def test_htmx_gets_the_new_button_alone(
    reader_for: Callable[[User], Reader], bob: User, charlie: User, article: Article
) -> None:
    like(charlie, article)
    reader = reader_for(bob)
    form = {"csrfmiddlewaretoken": token_of(reader.open("/")), "words": ""}

    answer = Page(
        reader.post(f"/article/{article.slug}/favorite", form, headers={"HX-Request": "true"})
    )

    assert answer.status == 200
    assert "<html" not in answer.html
    assert answer.texts(BUTTON) == ["Unfavorite Article(2)"]
    for attribute in ("hx-post", "formaction"):
        assert answer.one(BUTTON).attributes[attribute] == f"/article/{article.slug}/unfavorite"


def test_to_like_twice_or_to_unlike_nothing_changes_nothing(
    reader_for: Callable[[User], Reader], bob: User, article: Article
) -> None:
    reader = reader_for(bob)
    form = {"csrfmiddlewaretoken": token_of(reader.open("/"))}

    for verb, count in (("favorite", 1), ("favorite", 1), ("unfavorite", 0), ("unfavorite", 0)):
        answer = reader.post(f"/article/{article.slug}/{verb}", form)
        assert (answer.status_code, answer.headers["Location"]) == (303, "/")
        assert Favorite.objects.count() == count


def test_charlie_cannot_remove_the_favorite_of_bob(
    reader_for: Callable[[User], Reader], bob: User, charlie: User, article: Article
) -> None:
    like(bob, article)
    reader = reader_for(charlie)
    form = {"csrfmiddlewaretoken": token_of(reader.open("/"))}

    reader.post(f"/article/{article.slug}/unfavorite", form)

    assert Favorite.objects.filter(user=bob).exists()


def test_the_button_of_a_stranger_leads_to_the_login_and_back(
    stranger: Reader, article: Article
) -> None:
    links = stranger.open("/tag/dragons?page=1").all(".article-preview a.btn")

    assert [link.attributes["href"] for link in links] == ["/login?next=/tag/dragons%3Fpage%3D1"]


def test_a_stranger_can_like_nothing(stranger: Reader, article: Article) -> None:
    stranger.handler.enforce_csrf_checks = False

    answer = stranger.post(f"/article/{article.slug}/favorite")

    assert (answer.status_code, answer.headers["Location"]) == (303, "/login")
    assert not Favorite.objects.exists()


@pytest.mark.parametrize("slug", ["nothing", "nul%00", "hidden"])
def test_an_article_that_nobody_sees_cannot_be_liked(
    reader_for: Callable[[User], Reader], bob: User, alice: User, slug: str
) -> None:
    hidden = write_article(alice, title="Hidden")
    write_article(alice)
    reader = reader_for(bob)
    form = {"csrfmiddlewaretoken": token_of(reader.open("/"))}
    Article.objects.filter(pk=hidden.pk).update(hidden_at=hidden.created_at)

    assert reader.post(f"/article/{slug}/favorite", form).status_code == 404


def test_a_get_changes_nothing(
    reader_for: Callable[[User], Reader], bob: User, article: Article
) -> None:
    assert reader_for(bob).get(f"/article/{article.slug}/favorite").status_code == 405
    assert not Favorite.objects.exists()


def test_a_click_leads_to_no_other_site(
    reader_for: Callable[[User], Reader], bob: User, article: Article
) -> None:
    reader = reader_for(bob)
    form = {"csrfmiddlewaretoken": token_of(reader.open("/"))}

    for place in ("https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:1"):
        answer = reader.post(f"/article/{article.slug}/favorite", form | {"next": place})
        assert answer.headers["Location"] == "/"
