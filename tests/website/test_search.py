"""The search for articles."""

from collections.abc import Callable

import pytest

from tests.builders import like, write_article
from tests.website.reader import Reader
from users.models import User


@pytest.fixture
def articles(alice: User, bob: User) -> None:
    liked = write_article(alice, title="Dragons of Bohemia", body="Prague first", tags=("tour",))
    like(bob, liked)
    write_article(bob, title="Cooking for one", body="No dragon, no fire")


def test_articles_with_all_words_are_found(
    stranger: Reader, reader_for: Callable[[User], Reader], bob: User, articles: None
) -> None:
    page = stranger.open("/search?q=DRAGON")

    assert page.texts(".article-preview h1") == ["Cooking for one", "Dragons of Bohemia"]
    assert page.one("nav input[name=q]").attributes["value"] == "DRAGON"
    assert stranger.open("/search?q=dragon+fire").texts("h1")[1:] == ["Cooking for one"]
    assert stranger.open("/search?q=%00prague%00").texts("h1")[1:] == ["Dragons of Bohemia"]
    buttons = reader_for(bob).open("/search?q=dragon").all("button[id^=favorite-]")
    kinds = ["btn-primary" in (button.attributes["class"] or "") for button in buttons]
    assert kinds == [False, True]


def test_a_reader_searches_from_each_page(stranger: Reader, articles: None) -> None:
    form = stranger.open("/").one("nav form")

    assert (form.attributes["action"], form.attributes.get("method")) == ("/search", None)
    assert form.css("button") == []


@pytest.mark.parametrize("text", ["", " ", "%00", "!%3F", "nothing", "%3Cscript%3E"])
def test_a_search_may_find_nothing(stranger: Reader, articles: None, text: str) -> None:
    page = stranger.open(f"/search?q={text}")

    assert page.all(".article-preview") == []
    assert "<script>" not in page.one("#list").html  # type: ignore[operator]
    assert stranger.open("/search").status == 200


def test_a_search_has_pages(stranger: Reader, alice: User) -> None:
    for number in range(11):
        write_article(alice, title=f"Dragon {number} & more")

    page = stranger.open("/search?q=dragon+%26")

    assert page.texts(".search-note") == ["11 articles, the newest first."]
    links = [link.attributes["href"] for link in page.all(".page-link")]
    assert links == ["?q=dragon+%26&page=1", "?q=dragon+%26&page=2"]
    second = stranger.open("/search?q=dragon+%26&page=2")
    assert second.texts(".article-preview h1") == ["Dragon 0 & more"]


def test_it_says_if_only_the_newest_are_searched(
    stranger: Reader, articles: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("website.views.lists.MAX_MATCHES", 2)

    page = stranger.open("/search?q=dragon")

    assert page.texts(".search-note") == ["Only the newest 2 articles with these words are shown."]


def test_hidden_articles_are_not_found(stranger: Reader, alice: User, articles: None) -> None:
    User.objects.filter(pk=alice.pk).update(hidden_at=alice.created_at)

    assert stranger.open("/search?q=dragon").texts("h1")[1:] == ["Cooking for one"]
