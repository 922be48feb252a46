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


def test_a_password_manager_knows_the_fields_and_an_error_is_said(
    open_page: Open, editor: User, accessible: Callable[[Page], None]
) -> None:
    page = open_page("/admin/")
    email, password = page.get_by_label("E-mail"), page.get_by_label("Password")
    expect(email).to_have_attribute("autocomplete", "username")
    expect(password).to_have_attribute("autocomplete", "current-password")

    email.fill(editor.email)
    page.keyboard.press("Tab")
    page.keyboard.type("wrong horse")
    page.keyboard.press("Enter")

    error = page.get_by_text("There is no staff account with this e-mail and password.")
    expect(error).to_be_visible()
    expect(email).to_have_value(editor.email)
    accessible(page)
