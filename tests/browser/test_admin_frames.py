"""Unfold opens the form of a related row in a frame, which the policy of the admin allows."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Open
from users.models import User

pytestmark = pytest.mark.browser


def test_the_form_of_a_new_author_opens_in_the_page(open_page: Open, editor: User) -> None:
    page = open_page("/admin/articles/article/add/", user=editor)

    # The link is in a menu.
    page.locator("#add_id_author").evaluate("link => link.click()")

    form = page.frame_locator("iframe.related-modal-frame")
    expect(form.locator("input[name=username]")).to_be_visible()
