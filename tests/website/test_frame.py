"""What all pages have: the bar, the messages, the footer, the style."""

from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders

from tests.website.reader import Page, Reader
from users.models import User


def links(page: Page) -> dict[str | None, str]:
    """The links of the bar with their texts."""
    return {
        link.attributes["href"]: link.text(strip=True) for link in page.all("nav.navbar a.nav-link")
    }


def test_the_bar_leads_a_stranger_to_an_account(stranger: Reader) -> None:
    page = stranger.open("/")

    assert links(page) == {"/": "Home", "/login": "Sign in", "/register": "Sign up"}
    assert page.one("a.navbar-brand").attributes["href"] == "/"


def test_the_bar_leads_a_person_to_their_pages(
    reader_for: Callable[[User], Reader], alice: User
) -> None:
    page = reader_for(alice).open("/")

    assert links(page) == {
        "/": "Home",
        "/editor": "New Article",
        "/settings": "Settings",
        "/profile/alice": "alice",
    }
    assert page.one("img.user-pic").attributes["src"] == "/default-avatar.svg"


@pytest.mark.parametrize("path", ["/", "/editor", "/settings", "/profile/alice"])
def test_the_link_to_the_current_page_is_active(
    reader_for: Callable[[User], Reader], alice: User, path: str
) -> None:
    active = reader_for(alice).open(path).one("nav.navbar .nav-link.active")

    assert (active.attributes["href"], active.attributes["aria-current"]) == (path, "page")


def test_the_link_stays_active_on_a_form_with_errors(stranger: Reader) -> None:
    page = stranger.submit(stranger.open("/login"), "main button[type=submit]", status=422)

    assert page.one("nav.navbar .nav-link.active").attributes["href"] == "/login"


def test_the_search_field_keeps_the_words_and_has_no_button(stranger: Reader) -> None:
    page = stranger.open("/search?q=%3Cb%3E")

    assert page.one("nav.navbar input[name=q]").attributes["value"] == "<b>"
    assert page.all("nav.navbar button, nav.navbar [type=submit]") == []


def test_no_script_delays_the_text(stranger: Reader) -> None:
    scripts = stranger.open("/").all("script")

    assert scripts
    assert all("defer" in script.attributes for script in scripts)


def test_the_style_is_small() -> None:
    path = finders.find("website/site.css")

    assert path is not None
    assert Path(path).stat().st_size < 30_000
