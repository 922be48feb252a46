"""The pages that show the API: Swagger UI and Redoc."""

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # no types
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from tests.browser.conftest import RULES, WIDTHS, Open, fits
from tests.builders import make_user
from users import tokens

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(
    ("name", "width"), [("Token", WIDTHS["desktop"]), ("Bearer", WIDTHS["phone"])]
)
def test_a_developer_tries_a_call_with_a_token(
    open_page: Open, live_server: LiveServer, name: str, width: int
) -> None:
    alice = make_user("alice")
    page = open_page("/api/docs", width=width)
    page.get_by_role("button", name="Authorize").first.click()
    form = page.locator(".auth-container", has_text=name).first
    form.locator("input").fill(str(tokens.issue(alice.pk, alice.token_generation)))
    form.get_by_role("button", name="Apply credentials").click()
    page.get_by_role("button", name="Close").last.click()

    operation = page.locator("#operations-User_and_Authentication-GetCurrentUser")
    operation.get_by_role("button").first.click()
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("button", name="Execute").click()

    answer = operation.locator(".live-responses-table .response").first
    expect(answer.locator(".response-col_status")).to_contain_text("200")
    expect(answer).to_contain_text("alice@example.com")
    assert f"Authorization: {name} " in operation.locator(".curl").inner_text()
    assert fits(page)
    assert_accessible(page)


def assert_accessible(page: Page, *parts: str) -> None:
    """Asserts that axe has no finding in these parts of the page, or on the whole page."""
    # Swagger UI puts the button that copies the path into the button that opens the call.
    options = {
        "runOnly": {"type": "tag", "values": RULES},
        "rules": {"nested-interactive": {"enabled": False}},
    }
    results = Axe().run(page, context=[[part] for part in parts] or None, options=options)
    assert results.violations_count == 0, results.generate_report()


def test_redoc_shows_all_sections(open_page: Open, live_server: LiveServer, width: int) -> None:
    page = open_page("/api/redoc", width=width)

    expect(page.get_by_text("Publish an article").first).to_be_attached()
    for section in ("Authentication", "Errors", "Pages", "Articles", "Comments", "Tags"):
        expect(page.locator("h1, h2").filter(has_text=section).first).to_be_attached()
    assert fits(page)
    # Each call has the same parts. For all calls axe takes half a minute.
    assert_accessible(page, "nav", ".api-info", "[id='tag/Tags/operation/GetTags']")
