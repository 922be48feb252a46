"""The pages that show the API: Swagger UI and Redoc."""

import pytest
from playwright.sync_api import expect
from pytest_django.live_server_helper import LiveServer

from tests.browser.conftest import Open, fits
from tests.builders import make_user
from users import tokens

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("scheme_of_token", ["Token", "Bearer"])
def test_a_developer_tries_a_call_with_a_token(
    open_page: Open, live_server: LiveServer, width: int, scheme_of_token: str
) -> None:
    alice = make_user("alice")
    page = open_page("/api/docs", width=width)
    page.get_by_role("button", name="Authorize").first.click()
    form = page.locator(".auth-container", has_text=scheme_of_token).first
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
    assert fits(page)


def test_redoc_shows_all_sections(open_page: Open, live_server: LiveServer, width: int) -> None:
    page = open_page("/api/redoc", width=width)

    for section in ("Authentication", "Errors", "Pages", "Articles", "Comments", "Tags"):
        expect(page.locator("h1, h2, h3").filter(has_text=section).first).to_be_attached()
    expect(page.get_by_text("Publish an article").first).to_be_attached()
    assert fits(page)
