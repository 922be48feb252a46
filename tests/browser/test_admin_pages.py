"""Every page of the admin, in a browser: no finding of axe, no sideways scrolling, usable by
keyboard, light and dark."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db import models
from django.urls import reverse
from playwright.sync_api import Page, expect

from articles.models import Article, Comment
from tests.browser.conftest import WIDTHS, Open, fits
from tests.builders import like, make_user, write_article, write_comment
from users.models import User

pytestmark = pytest.mark.browser

LONG = "A title that is much longer than the column in which the list of the admin shows it"
# Both color schemes and both widths, without their four combinations.
WINDOWS = [("desktop", "light"), ("phone", "dark")]


@pytest.fixture
def content(editor: User, alice: User, bob: User) -> Article:
    """A row of every model, and rows in every state."""
    article = write_article(alice, title=LONG * 3, body="# A *title*\n\n> A quote", tags=("a", "b"))
    write_comment(bob, article, body=f"{LONG * 20}\n\n`code`")
    like(bob, article)
    write_article(bob, hidden_at=datetime.now(UTC))
    write_comment(alice, article, hidden_at=datetime.now(UTC))
    make_user("x" * 64, is_active=False, hidden_at=datetime.now(UTC))
    Group.objects.get_or_create(name="Editors")
    return article


def pages_of(model: type[models.Model]) -> Iterator[str]:
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    yield reverse(f"{name}_changelist")
    row = model._default_manager.order_by("-pk").first()
    if row is not None:
        yield reverse(f"{name}_change", args=[row.pk])
    if model not in (Article, User):
        return
    assert row is not None
    yield reverse(f"{name}_add")
    yield reverse(f"{name}_history", args=[row.pk])
    yield reverse(f"{name}_delete", args=[row.pk])


@pytest.mark.parametrize(("size", "colors"), WINDOWS)
def test_every_page_is_accessible_and_fits(
    open_page: Open,
    editor: User,
    content: Article,
    accessible: Callable[[Page], None],
    size: str,
    colors: str,
) -> None:
    paths = [reverse("admin:index"), reverse("admin:password_change")]
    for model in admin.site._registry:
        paths += pages_of(model)
    page = open_page(paths[0], user=editor, width=WIDTHS[size], scheme=colors)

    for path in paths:
        page.goto(path)
        assert fits(page), path
        accessible(page)


def test_a_list_on_a_phone_shows_cards_and_its_filters_at_the_top(
    open_page: Open, editor: User, content: Article, accessible: Callable[[Page], None]
) -> None:
    path = reverse("admin:articles_article_changelist")
    page = open_page(path, user=editor, width=WIDTHS["phone"])

    row = page.locator("#result_list tr.data-row").first
    assert all(cell["width"] <= WIDTHS["phone"] for cell in boxes(row.locator("td, th")))
    expect(row).to_contain_text("bob")
    button = page.get_by_role("button", name="Filters")
    assert boxes(button)[0]["y"] < 300

    button.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#changelist-filter")).to_be_visible()
    accessible(page)
    page.keyboard.press("Escape")
    expect(page.locator("#changelist-filter")).to_be_hidden()


def boxes(locator: object) -> list[dict[str, float]]:
    found = locator.evaluate_all(  # type: ignore[attr-defined]
        "all => all.map(each => each.getBoundingClientRect().toJSON())"
    )
    return list(found)


def test_the_menus_are_usable_by_keyboard(
    open_page: Open, editor: User, content: Article, accessible: Callable[[Page], None]
) -> None:
    page = open_page(reverse("admin:index"), user=editor, width=1440)

    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    expect(page.get_by_role("link", name="Skip to the content")).to_be_in_viewport()

    menu = page.get_by_role("button", name=editor.email)
    menu.focus()
    page.keyboard.press("Enter")
    dark = page.get_by_role("button", name="Dark")
    expect(dark).to_be_visible()
    dark.focus()
    page.keyboard.press(" ")
    expect(page.locator("html")).to_have_class("dark")
    accessible(page)


def test_links_lead_from_a_user_to_the_rows_of_the_user(
    open_page: Open, editor: User, content: Article, bob: User
) -> None:
    page = open_page(reverse("admin:users_user_change", args=[bob.pk]), user=editor)

    page.get_by_role("navigation", name="Related lists").get_by_role(
        "link", name="Comments"
    ).click()

    expect(page.locator("#result_list tr.data-row")).to_have_count(
        Comment.objects.filter(author=bob).count()
    )
    page.locator("#result_list").get_by_role("link", name="A title").last.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("A title that is much longer")
    with page.expect_popup() as popup:
        page.get_by_role("link", name="View on site").click()
    response = popup.value
    assert content.slug in response.url


def test_a_selection_can_be_acted_on_by_keyboard(
    open_page: Open, editor: User, content: Article, accessible: Callable[[Page], None]
) -> None:
    page = open_page(reverse("admin:articles_comment_changelist"), user=editor)

    page.get_by_role("checkbox", name="Select record").first.focus()
    page.keyboard.press(" ")

    expect(page.get_by_label("Select action to run")).to_be_visible()
    accessible(page)
