"""The login of the admin, in a browser."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open, fits
from tests.builders import PASSWORD
from users.models import User

pytestmark = pytest.mark.browser


def test_an_editor_logs_in(
    open_page: Open, editor: User, width: int, scheme: str, accessible: Callable[[Page], None]
) -> None:
    page = open_page("/admin/", width=width, scheme=scheme)
    accessible(page)
    assert fits(page)

    page.fill("input[name=username]", editor.email)
    page.fill("input[name=password]", PASSWORD)
    page.keyboard.press("Enter")

    expect(page).to_have_url(f"{page.url.partition('/admin')[0]}/admin/")
