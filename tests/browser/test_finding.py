"""The filters of a list, in a real browser."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open
from tests.builders import make_user, write_article
from users.models import User

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_articles_are_filtered_by_an_author_whose_name_is_typed(
    open_page: Open, editor: User, width: int, accessible: Callable[[Page], None]
) -> None:
    write_article(make_user("alice"), title="Dragons of Bohemia")
    write_article(make_user("bob"), title="Soup")
    page = open_page("/admin/articles/article/", user=editor, width=width)

    page.get_by_role("link", name="Filters").or_(page.get_by_role("button", name="Filters")).click()
    page.locator("#filter-form .select2-selection").first.click()
    page.keyboard.type("ali")
    page.get_by_role("option", name="alice").click()
    page.get_by_role("button", name="Apply Filters").click()

    expect(page.get_by_text("Dragons of Bohemia")).to_be_visible()
    expect(page.get_by_text("Soup")).to_have_count(0)
    accessible(page)
